// A log as a terminal would show it: a carriage return begins the line anew (progress bars), colour codes are left out, and
// only the last kMostLines are kept.

const kMostLines = 4000;
const kEscapes = /\u001b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)|[@-_])/g;

export class LogText {
  dropped = 0;
  #lines: string[] = [];
  #rest = '';

  add(piece: string): void {
    const lines = (this.#rest + piece).split('\n');
    this.#rest = lines.pop()!;
    this.#lines.push(...lines.map(printed));
    const over = this.#lines.length - kMostLines;
    if (over > 0) {
      this.#lines.splice(0, over);
      this.dropped += over;
    }
  }

  text(): string {
    const whole = this.#lines.length > 0 ? this.#lines.join('\n') + '\n' : '';
    return whole + printed(this.#rest);
  }
}

function printed(line: string): string {
  const plain = line.replace(kEscapes, '').replace(/\r+$/, '');
  return plain.slice(plain.lastIndexOf('\r') + 1);
}
