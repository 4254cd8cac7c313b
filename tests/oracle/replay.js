// SPDX-License-Identifier: Apache-2.0
// Replays a transcript: node replay.js [FILE, else the standard input]. Prints each line with the wire bytes and the
// state hash that were computed, then the states of all devices. Exit 1, and a line for each difference on the error
// output, when the transcript says otherwise; lines without a state are computed only.
import { readFileSync } from 'node:fs';
import { FORMAT, Run, differences } from './lib/transcript.js';

const text = readFileSync(process.argv[2] ?? 0, 'utf8');
const lines = text.split('\n').filter((line) => line !== '').map((line) => JSON.parse(line));
if (lines[0]?.format !== FORMAT.format || lines[0].version !== FORMAT.version) {
  console.error('line 1: not a transcript of version 1');
  process.exit(1);
}
console.log(JSON.stringify(FORMAT));
const run = new Run();
let wrong = 0;
const tell = (number, words) => {
  wrong += 1;
  console.error(`line ${number}: ${words}`);
};

for (const [at, line] of lines.entries()) {
  if (at === 0) continue;
  if (line.states) {
    const states = run.states();
    for (const name of Object.keys(line.states)) {
      if (line.states[name] !== states[name]) tell(at + 1, `states: ${name} is ${states[name]}`);
    }
    continue;
  }
  const wanted = run.do(line);
  console.log(JSON.stringify(wanted));
  for (const name of differences(line, wanted)) {
    const [is, not] = [wanted[name], line[name]].map((value) => JSON.stringify(value));
    tell(at + 1, `${line.op} of ${line.device}: ${name} is ${is}, not ${not}`);
  }
}
console.log(JSON.stringify({ states: run.states() }));
process.exitCode = wrong > 0 ? 1 : 0;
