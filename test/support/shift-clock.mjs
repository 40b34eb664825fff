// Loaded into a process with `--import`: at each SIGUSR2 its wall clock jumps, first an hour on, then to an hour back, and so on. Says so
// on stderr.
const SystemDate = Date;
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
  shift = shift > 0 ? -3_600_000 : 3_600_000;
  process.stderr.write(`the clock is ${shift} ms off\n`);
});
