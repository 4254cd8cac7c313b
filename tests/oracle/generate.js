// SPDX-License-Identifier: Apache-2.0
// Makes a transcript: node generate.js SEED STEPS [passphrases]. It begins with every operation once, those with
// Argon2id only where passphrases are asked for; the same seed gives the same transcript. How often each operation
// ended how stands on the error output.
import { FORMAT } from './lib/transcript.js';
import { tour, tourOfPassphrases } from './support/tour.js';
import { World } from './support/world.js';

const [seed, steps, passphrases] = process.argv.slice(2);
if (seed === undefined || !/^[0-9]+$/.test(steps ?? '') || ![undefined, 'passphrases'].includes(passphrases)) {
  console.error('usage: node generate.js SEED STEPS [passphrases]');
  process.exit(2);
}
console.log(JSON.stringify(FORMAT));
const world = new World(seed, (line) => console.log(JSON.stringify(line)));
tour(world);
if (passphrases) tourOfPassphrases(world);
world.start();
for (let i = 0; i < Number(steps); i += 1) world.step();
console.log(JSON.stringify({ states: world.run.states() }));
console.error(`${world.lost.length}\tpairwise messages came whole and did not open`);
for (const name of Object.keys(world.outcomes).sort()) console.error(`${world.outcomes[name]}\t${name}`);
