// Loaded into a process with `--import`: at each SIGUSR2 its wall clock jumps to the next of the shifts in MNER_TEST_CLOCK_SHIFTS, in
// milliseconds and separated by commas; after the last one it begins anew. Says so on stderr.
const SHIFTS = (process.env.MNER_TEST_CLOCK_SHIFTS ?? '3600000,-3600000').split(',').map(Number);
const SystemDate = Date;
let jumps = 0;
let shift = 0;
globalThis.Date = class extends SystemDate {
  constructor(...given) {
    if (given.length === 0) super(SystemDate.now() + shift);
    else super(...given);
  }
  static now() {
    return SystemDate.now() + shift;
  }
};
process.on('SIGUSR2', () => {
  shift = SHIFTS[jumps % SHIFTS.length];
  jumps += 1;
  process.stderr.write(`the clock is ${shift} ms off\n`);
});
