// SPDX-License-Identifier: Apache-2.0
// A live run of both implementations: node together.js SEED STEPS TO FROM. The library, which `e2ee_transcript serve`
// runs behind the two named pipes, leads every other device of the storm (support/storm.js), the oracle the rest: who
// leads draws the random bytes, and its messages are what the others get. Each operation of each device is done by the
// other implementation too, with those bytes, and must give the same outputs and the same state hash. Exit 1 when one
// is not, or when something of the storm is wrong. What was done stands on the output.
import { openSync, readSync, writeSync } from 'node:fs';
import { differences } from './lib/transcript.js';
import { Storm } from './support/storm.js';
import { tour } from './support/tour.js';

const [seed, steps, to, from] = process.argv.slice(2);
const MOST_TOLD = 20;
const out = openSync(to, 'w');
const input = openSync(from, 'r');
const buffer = Buffer.alloc(1 << 20);
const began = Date.now();

function ask(line) {
  const text = Buffer.from(`${JSON.stringify(line)}\n`);
  for (let sent = 0; sent < text.length;) sent += writeSync(out, text, sent);
  const parts = [];
  for (let whole = false; !whole;) {
    const n = readSync(input, buffer);
    if (n === 0) throw new Error('the library has ended');
    parts.push(Buffer.from(buffer.subarray(0, n)));
    whole = buffer[n - 1] === 0x0a;
  }
  return JSON.parse(Buffer.concat(parts).toString('utf8'));
}

let wrong = 0;
let operations = 0;
function tell(what) {
  wrong += 1;
  if (wrong <= MOST_TOLD) console.error(what);
}

const world = new Storm(seed, () => {});
const own = world.run.do.bind(world.run);
const names = new Map();
world.run.do = (line, random) => {
  if (!names.has(line.device)) names.set(line.device, names.size);
  const libraryLeads = names.get(line.device) % 2 === 1;
  let library;
  let oracle;
  if (libraryLeads) {
    library = ask(line);
    oracle = own({ ...line, random: library.random });
  } else {
    oracle = own(line, random);
    library = ask({ ...line, random: oracle.random });
  }
  operations += 1;
  for (const name of differences(library, oracle)) {
    tell(`operation ${operations}, step ${world.steps}: ${line.op} of ${line.device}: ${name} is `
      + `${JSON.stringify(oracle[name])} in the oracle, ${JSON.stringify(library[name])} in the library`);
  }
  return libraryLeads ? library : oracle;
};
tour(world);
world.start();
for (let i = 1; i <= Number(steps); i += 1) {
  world.step();
  world.wrong.splice(0).forEach(tell);
  if (i % 5_000 === 0) console.log(`${i} steps, ${operations} operations, ${wrong} wrong`);
}
world.settle();
const states = world.run.states();
const library = ask({ states: true });
if (differences({ ...library, state: '' }, { states, state: '' }).length > 0) tell('the states at the end differ');
world.wrong.forEach(tell);
const { came, opened, asked, answered, repaired, limits } = world.counts;
console.log(`seed ${seed}: ${steps} steps, ${operations} operations, each by both, in `
  + `${Math.round((Date.now() - began) / 1000)} s; ${came} messages came whole, ${opened} opened at once; ${asked} `
  + `were asked for, ${answered} answered, ${repaired} repaired; ${limits} ways to limits; ${wrong} wrong`);
for (const name of Object.keys(world.outcomes).sort()) console.log(`${world.outcomes[name]}\t${name}`);
process.exitCode = wrong > 0 ? 1 : 0;
