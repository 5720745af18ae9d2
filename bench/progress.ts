/** Says what is going on and when it will be over: one line that changes on a terminal, lines elsewhere. */
export class Progress {
  private done = 0;
  private readonly started = performance.now();

  /** @param steps that there will be, all about equally long */
  constructor(private readonly steps: number) {}

  step(what: string): void {
    const line = `[${String(this.done + 1).padStart(String(this.steps).length)}/${this.steps}] ${what}${this.remaining()}`;
    if (process.stderr.isTTY)
      process.stderr.write(`\r\x1b[K${line.slice(0, (process.stderr.columns ?? 80) - 1)}`);
    else process.stderr.write(`${line}\n`);
    this.done++;
  }

  /** Steps that will not take place. */
  skip(count: number): void {
    this.done += count;
  }

  /** A line that stays. */
  note(text: string): void {
    process.stderr.write(`${process.stderr.isTTY ? "\r\x1b[K" : ""}${text}\n`);
  }

  private remaining(): string {
    if (this.done === 0) return "";
    const seconds = ((performance.now() - this.started) / 1000 / this.done) * (this.steps - this.done);
    return `, ${seconds < 100 ? `${Math.ceil(seconds)} s` : `${Math.ceil(seconds / 60)} min`} to go`;
  }
}
