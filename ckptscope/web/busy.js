// What the page is doing, as an attribute of the document: loading, ready, empty or error. Whoever waits for it reads that.

export function setState(state) {
  document.documentElement.dataset.state = state;
}

export class Busy {
  // `settle()` is called when the last work has ended and tells the state then, or null where it is not to change.
  constructor(settle) {
    Object.assign(this, {settle, count: 0});
  }

  async during(work) {
    this.count += 1;
    setState('loading');
    try {
      await work();
    } finally {
      this.count -= 1;
      const state = this.count ? null : this.settle();
      // Not before it is painted.
      if (state) requestAnimationFrame(() => setTimeout(() => this.count || setState(state)));
    }
  }
}
