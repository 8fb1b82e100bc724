// A real OpenID provider issues tokens; the server takes them, and takes none that anybody else signed.
//
// The provider is found by discovery. Its key set is counted at the socket, so that "at most once a minute" is what was
// asked and not what somebody meant to ask.

import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createServer as createSocket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { exportJWK, generateKeyPair, importJWK, SignJWT } from 'jose';
import Provider from 'oidc-provider';

const binary = process.argv[2];
const ALGORITHMS = ['RS256', 'PS256', 'ES256', 'EdDSA'];
const MINUTE_MS = 61_000;
const folder = mkdtempSync(join(tmpdir(), 'oidc-'));
const faults = [];
const expect = (right, words) => { if (!right) faults.push(words); };

async function freePort() {
  const socket = createSocket().listen(0, '127.0.0.1');
  await once(socket, 'listening');
  const { port } = socket.address();
  await new Promise((done) => socket.close(done));
  return port;
}

/** Private keys of one generation, one for each algorithm. */
async function generation(name) {
  const keys = [];
  for (const alg of ALGORITHMS) {
    const { privateKey } = await generateKeyPair(alg, { extractable: true, crv: alg === 'EdDSA' ? 'Ed25519' : undefined });
    keys.push({ ...(await exportJWK(privateKey)), kid: `${name}-${alg}`, alg, use: 'sig' });
  }
  return keys;
}

const port = await freePort();
const issuer = `http://127.0.0.1:${port}`;
const resource = (alg) => `https://einklang.example/${alg}`;

/** A provider that publishes these keys and signs with the first of each algorithm. */
function provider(keys) {
  const made = new Provider(issuer, {
    jwks: { keys },
    clients: [{ client_id: 'program', client_secret: 'a-secret-of-the-program', grant_types: ['client_credentials'],
      redirect_uris: [], response_types: [], token_endpoint_auth_method: 'client_secret_basic' }],
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_, indicator) => ({ scope: 'api', audience: 'einklang', accessTokenFormat: 'jwt',
          accessTokenTTL: 600, jwt: { sign: { alg: indicator.split('/').pop() } } }),
      },
    },
    extraTokenClaims: () => ({ roles: ['boss'], nbf: Math.floor(Date.now() / 1000) }),
    cookies: { keys: ['only-for-this-run'] },
  });
  return made.callback();
}

let current;
let fetches = 0;
const web = createServer((request, response) => {
  if (request.url === '/jwks') fetches += 1;
  current(request, response);
}).listen(port, '127.0.0.1');
await once(web, 'listening');

/** A token that the provider issues, signed with this algorithm. */
async function issued(alg) {
  const basic = Buffer.from('program:a-secret-of-the-program').toString('base64');
  const answer = await fetch(`${issuer}/token`, { method: 'POST', headers: { authorization: `Basic ${basic}` },
    body: new URLSearchParams({ grant_type: 'client_credentials', scope: 'api', resource: resource(alg) }) });
  const body = await answer.json();
  if (!body.access_token) throw new Error(`the provider issued nothing: ${JSON.stringify(body)}`);
  return body.access_token;
}

/** A token like the provider's, signed by somebody with this key. */
async function signedBy(jwk, kid) {
  const now = Math.floor(Date.now() / 1000);
  return new SignJWT({ roles: ['boss'], client_id: 'program' }).setProtectedHeader({ alg: jwk.alg, typ: 'at+jwt', kid })
    .setIssuer(issuer).setAudience('einklang').setSubject('program').setIssuedAt(now).setNotBefore(now)
    .setExpirationTime(now + 600).sign(await importJWK(jwk, jwk.alg));
}

const listen = `127.0.0.1:${await freePort()}`;
const call = async (token) => {
  const answer = await fetch(`http://${listen}/v1/shops`, { headers: { authorization: `Bearer ${token}` } });
  await answer.arrayBuffer();
  return answer.status;
};

async function startServer() {
  writeFileSync(join(folder, 'tenants.toml'), '[[tenant]]\nslug = "acme"\n');
  writeFileSync(join(folder, 'einklang.toml'), [`data_dir = "${join(folder, 'data')}"`, `listen = "${listen}"`,
    `management_listen = "127.0.0.1:${await freePort()}"`, 'oidc_private_sources = true', '[[oidc_issuer]]',
    `issuer = "${issuer}"`, 'audience = "einklang"', 'role_claim = "roles"', 'tenant = "acme"',
    'roles = { boss = "manager" }', ''].join('\n'));
  const config = ['--config', join(folder, 'einklang.toml')];
  const applied = spawnSync(binary, [...config, 'apply', join(folder, 'tenants.toml')], { encoding: 'utf8' });
  if (applied.status !== 0) throw new Error(applied.stderr);
  const server = spawn(binary, [...config, 'serve'], { stdio: 'ignore' });
  for (let tries = 0; tries < 600; tries += 1) {
    const answer = await fetch(`http://${listen}/readyz`).catch(() => undefined);
    if (answer?.status === 200) return server;
    await new Promise((done) => setTimeout(done, 100));
  }
  throw new Error('the server does not start');
}

const [first, second, rogue] = [await generation('first'), await generation('second'), await generation('rogue')];
current = provider(first);
const server = await startServer();
try {
  for (const alg of ALGORITHMS) expect(await call(await issued(alg)) === 200, `${alg}: refused`);
  expect(fetches === 1, `the key set was fetched ${fetches} times for the first tokens`);
  const begun = Date.now();

  // Requests run all the time, with tokens of whatever the provider signs with at that moment.
  let running = true;
  let [served, refusedWrongly, hostile, acceptedWrongly] = [0, 0, 0, 0];
  const honest = ALGORITHMS.map(async (alg) => {
    while (running) {
      if (await call(await issued(alg)) === 200) served += 1; else refusedWrongly += 1;
      await new Promise((done) => setTimeout(done, 25));
    }
  });
  // So do others, who sign with keys of their own under every name that was ever published, and under new ones.
  const attack = ALGORITHMS.map(async (alg, place) => {
    for (let number = 0; running; number += 1) {
      const kid = [first[place].kid, second[place].kid, `unknown-${number}`][number % 3];
      hostile += 1;
      if (await call(await signedBy(rogue[place], kid)) !== 401) acceptedWrongly += 1;
      await new Promise((done) => setTimeout(done, 25));
    }
  });
  while (Date.now() - begun < MINUTE_MS + 2_000) await new Promise((done) => setTimeout(done, 200));
  const before = fetches;
  expect(before <= 2, `the key set was fetched ${before} times in a minute under attack`);
  // The attack has had the minute's fetch: whoever rotates publishes the next keys first and signs with them afterwards.
  current = provider([...first, ...second]);
  const published = Date.now();
  while (Date.now() - published < MINUTE_MS) await new Promise((done) => setTimeout(done, 200));
  current = provider([...second, ...first]);
  const rotated = Date.now();
  while (Date.now() - rotated < 5_000) await new Promise((done) => setTimeout(done, 200));
  for (const alg of ALGORITHMS) expect(await call(await issued(alg)) === 200, `${alg}: refused after the rotation`);
  running = false;
  await Promise.all([...honest, ...attack]);
  const minutes = Math.ceil((Date.now() - begun) / 60_000);
  expect(refusedWrongly === 0, `${refusedWrongly} tokens refused wrongly`);
  expect(acceptedWrongly === 0, `${acceptedWrongly} tokens accepted wrongly`);
  expect(fetches <= minutes + 1, `the key set was fetched ${fetches} times in ${minutes} minutes`);
  console.log(`${ALGORITHMS.join(', ')} of oidc-provider: ${served} tokens accepted, ${refusedWrongly} refused wrongly; `
    + `${hostile} of others: ${acceptedWrongly} accepted; key set fetched ${fetches} times in ${minutes} minutes.`);
} finally {
  server.kill();
  await once(server, 'exit');
  web.close();
  web.closeAllConnections();
  rmSync(folder, { recursive: true, force: true });
}
for (const fault of faults) console.error(`tests/oidc: ${fault}`);
process.exit(faults.length ? 1 : 0);
