// Reads a log with the tools of Go's checksum database (golang.org/x/mod/sumdb): nothing here knows Einklang.
// Usage: KEY=<verifier key> client LOG, where LOG is a folder or a URL in the layout of C2SP tlog-tiles.
package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"log"
	"math/rand"
	"net/http"
	"os"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

var base = strings.TrimSuffix(os.Args[1], "/") + "/"

func read(path string) ([]byte, error) {
	if !strings.HasPrefix(base, "http") {
		return os.ReadFile(base + path)
	}
	request, err := http.NewRequest("GET", base+path, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", os.Getenv("AUTHORIZATION"))
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != 200 {
		return nil, fmt.Errorf("%s: %s", path, response.Status)
	}
	return io.ReadAll(response.Body)
}

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal("go sumdb: NOT VERIFIED: ", err)
	}
	return value
}

// The checksum database has the tiles' height in their paths; C2SP has not.
type tiles struct{}

func (tiles) Height() int                     { return 8 }
func (tiles) SaveTiles([]tlog.Tile, [][]byte) {}
func (tiles) ReadTiles(wanted []tlog.Tile) (data [][]byte, err error) {
	for _, tile := range wanted {
		bytes, err := read(strings.Replace(tile.Path(), "tile/8/", "tile/", 1))
		if err != nil {
			return nil, err
		}
		data = append(data, bytes)
	}
	return data, nil
}

// A checkpoint's first three lines are those of a tree of the checksum database, but for the origin.
func open(name string, keys note.Verifiers) tlog.Tree {
	opened := must(note.Open(must(read(name)), keys))
	lines := strings.SplitN(opened.Text, "\n", 2)
	return must(tlog.ParseTree([]byte("go.sum database tree\n" + lines[1])))
}

func main() {
	keys := note.VerifierList(must(note.NewVerifier(os.Getenv("KEY"))))
	tree := open("checkpoint", keys)
	reader := tlog.TileHashReader(tree, tiles{})
	checked := 0
	check := func(index int64, entry []byte) {
		leaf := tlog.RecordHash(entry)
		stored := must(reader.ReadHashes([]int64{tlog.StoredHashIndex(0, index)}))
		proof := must(tlog.ProveRecord(tree.N, index, reader))
		if err := tlog.CheckRecord(proof, tree.N, tree.Hash, index, leaf); err != nil || stored[0] != leaf {
			log.Fatalf("go sumdb: NOT VERIFIED: entry %d: %v", index, err)
		}
		checked++
	}
	for number := int64(0); number*256 < tree.N; number++ {
		tile := tlog.Tile{H: 8, L: 0, N: number, W: 256}
		if rest := tree.N - number*256; rest < 256 {
			tile.W = int(rest)
		}
		path := strings.Replace(tile.Path(), "tile/8/0/", "tile/entries/", 1)
		bundle := must(read(path))
		for index := number * 256; len(bundle) > 0; index++ {
			length := 2 + int(binary.BigEndian.Uint16(bundle))
			// Every entry of the bundles at the edges; of the others some, since each proof reads its tiles again.
			if number == 0 || tile.W < 256 || rand.Intn(200) == 0 {
				check(index, bundle[2:length])
			}
			bundle = bundle[length:]
		}
	}
	continued := 0
	if _, err := read("earlier-checkpoint"); err == nil {
		earlier := open("earlier-checkpoint", keys)
		proof := must(tlog.ProveTree(tree.N, earlier.N, reader))
		if err := tlog.CheckTree(proof, tree.N, tree.Hash, earlier.N, earlier.Hash); err != nil {
			log.Fatal("go sumdb: NOT VERIFIED: the earlier checkpoint: ", err)
		}
		continued++
	}
	fmt.Printf("go sumdb: verified: a log of %d entries, %d of them proven, %d earlier checkpoint continued\n", tree.N, checked, continued)
}
