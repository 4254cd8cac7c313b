// SPDX-License-Identifier: Apache-2.0
// Section 19: how an operation fails. What fails throws Refused and has changed nothing, since every operation works on
// a copy of the device's state.

/** The outcomes of section 19 but `ok` and `storage`. */
export const OUTCOMES = ['duplicate', 'no_session', 'untrusted', 'bad_message'];

export class Refused extends Error {
  /**
   * @param {string} outcome one of OUTCOMES
   * @param {string} why for the reader of a test's output; it decides nothing
   */
  constructor(outcome, why) {
    super(`${outcome}: ${why}`);
    this.outcome = outcome;
  }
}

/** Goes on only when `holds` is true. */
export function need(holds, why, outcome = 'bad_message') {
  if (!holds) throw new Refused(outcome, why);
}

/** Runs `step`; whatever it refuses is refused as `outcome`. */
export function refusedAs(outcome, step) {
  try {
    return step();
  } catch (error) {
    if (error instanceof Refused) throw new Refused(outcome, error.message);
    throw error;
  }
}
