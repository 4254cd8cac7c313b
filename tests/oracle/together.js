// SPDX-License-Identifier: Apache-2.0
// A live run of both implementations: node together.js SEED STEPS TO FROM. Every other device of the world is the
// library's, which `e2ee_transcript serve` runs behind the two named pipes; the rest are the oracle's. Each line of the
// library's devices is done by the oracle too, with the random bytes that the library drew, and must be the same. Exit 1
// when one is not, or when a message that came whole does not open.
import { openSync, readSync, writeSync } from 'node:fs';
import { differences } from './lib/transcript.js';
import { World } from './support/world.js';
import { tour } from './support/tour.js';

const [seed, steps, to, from] = process.argv.slice(2);
const out = openSync(to, 'w');
const input = openSync(from, 'r');
let pending = '';
const buffer = Buffer.alloc(1 << 20);

function ask(line) {
  const text = `${JSON.stringify(line)}\n`;
  for (let sent = 0; sent < text.length;) sent += writeSync(out, text.slice(sent));
  while (!pending.includes('\n')) {
    const n = readSync(input, buffer);
    if (n === 0) throw new Error('the library has ended');
    pending += buffer.toString('utf8', 0, n);
  }
  const end = pending.indexOf('\n');
  const answer = JSON.parse(pending.slice(0, end));
  pending = pending.slice(end + 1);
  return answer;
}

let wrong = 0;
const world = new World(seed, () => {});
const own = world.run.do.bind(world.run);
const names = new Map();
world.run.do = (line, random) => {
  if (!names.has(line.device)) names.set(line.device, names.size);
  if (names.get(line.device) % 2 === 0) return own(line, random);
  const answer = ask(line);
  const wanted = own({ ...line, random: answer.random });
  for (const name of differences(answer, wanted)) {
    wrong += 1;
    console.error(`${line.op} of ${line.device}: ${name} is ${JSON.stringify(wanted[name])} here, not `
      + JSON.stringify(answer[name]));
  }
  return answer;
};
tour(world);
world.start();
for (let i = 0; i < Number(steps); i += 1) world.step();
for (const done of world.lost) console.error(`a message that came whole did not open: ${done.error}`);
process.exitCode = wrong > 0 || world.lost.length > 0 ? 1 : 0;
