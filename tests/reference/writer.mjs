// Writes TC strings that the specification allows and the library's own writer never makes: ranges out of order, filled
// up in other ways, restrictions on any purpose, segments in any order. Seeded: a run can be repeated.

let state = Number(process.env.EINKLANG_REFERENCE_SEED ?? 7);

/** A whole number below the limit. */
export function random(limit) {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % limit;
}

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const bits = (value, width) => BigInt(value).toString(2).padStart(width, "0");
const noise = (width) => Array.from({ length: width }, () => random(2)).join("");

function text(string, unit) {
    const filled = string.padEnd(Math.ceil(string.length / unit) * unit, "0");
    const whole = filled.padEnd(Math.ceil(filled.length / 6) * 6, "0");
    return whole.match(/.{6}/g).map((six) => ALPHABET[parseInt(six, 2)]).join("");
}

function entries(highest, ordered) {
    const ranges = Array.from({ length: random(5) }, () => {
        const first = 1 + random(highest);
        return [first, Math.min(highest, first + random(4) * random(30))];
    });
    if (ordered) {
        ranges.sort(([left], [right]) => left - right);
    }
    return bits(ranges.length, 12) + ranges.map(([first, last]) =>
        first === last ? `0${bits(first, 16)}` : `1${bits(first, 16)}${bits(last, 16)}`).join("");
}

function vendors() {
    const highest = [0, 5, 60, 900, 65535][random(5)];
    if (random(2) === 0 && highest < 1000) {
        return bits(highest, 16) + "0" + noise(highest);
    }
    return bits(Math.max(highest, 1), 16) + "1" + entries(Math.max(highest, 1), random(2) === 0);
}

/** A TC string. */
export function tcf() {
    const unit = [6, 8, 24][random(3)];
    const at = 17_900_000_000 + random(100_000_000);
    const letters = () => bits(random(26), 6) + bits(random(26), 6);
    const restrictions = Array.from({ length: random(4) }, () =>
        bits(1 + random(24), 6) + bits(random(3), 2) + entries(900, true));
    const core = bits(2, 6) + bits(at, 36) + bits(at + random(10_000), 36) + bits(random(40) === 0 ? random(2) : 2 + random(4094), 12) + noise(12) + noise(6)
        + letters() + noise(12) + bits(2 + random(4), 6) + "1" + noise(1) + noise(12) + noise(24) + noise(24) + noise(1)
        + letters() + vendors() + vendors() + bits(restrictions.length, 12) + restrictions.join("");
    const custom = random(20);
    const others = ["001" + vendors(), "010" + vendors(), "011" + noise(48) + bits(custom, 6) + noise(2 * custom)]
        .filter(() => random(2) === 0);
    if (random(2) === 0) {
        others.reverse();
    }
    return [core, ...others].map((segment) => text(segment, unit)).join(".");
}
