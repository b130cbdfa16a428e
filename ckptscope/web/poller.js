// Asks again every few seconds while the page is in front, and when the host says that there is more.

const PERIOD_MS = 10000;
const SCAN_PERIOD_MS = 1000;

export class Poller {
  // `ask()` resolves to the overview that it got.
  constructor(host, ask, isLive) {
    Object.assign(this, {host, ask, isLive, timer: null, isAsking: false});
  }

  start(overview) {
    if (!this.isLive) return;
    if (!this.isListening) this.host.onReload(() => this.now());
    this.isListening = true;
    this.wait(overview);
  }

  wait(overview) {
    clearTimeout(this.timer);
    const isScanning = overview && overview.scan && overview.scan.state === 'running';
    this.timer = setTimeout(() => this.now(), isScanning ? SCAN_PERIOD_MS : PERIOD_MS);
  }

  // One question at a time. Nothing is asked by a page that nobody sees; coming back asks at once.
  async now() {
    if (!this.isLive || this.isAsking || !this.host.isVisible()) return;
    this.isAsking = true;
    let overview = null;
    try {
      overview = await this.ask();
    } finally {
      this.isAsking = false;
      this.wait(overview);
    }
  }
}
