// The time that relative times and running durations are shown against: one timer for the whole page.

class Clock {
  now_ms = $state(Date.now());

  constructor() {
    setInterval(() => {
      if (!document.hidden) this.now_ms = Date.now();
    }, 1000);
  }
}

export const clock = new Clock();
