// Figures of the last minutes, kept on the page and continued by what is new.

const LONGEST_S = 900;

/** Follow the figures: {times, series(name), rate(name), close()}; `ondata()` after each answer. */
export function followHistory(context, ondata) {
  let times = [];
  let columns = {};
  let closed = false;
  let timer = null;

  async function ask() {
    const last = times.at(-1);
    // The server's clock may differ, so a little more than what is new is asked for.
    const seconds = last === undefined ? LONGEST_S : Math.min(LONGEST_S, Math.max(5, newestAge() + 5));
    try {
      take(await context.api("history", { query: { seconds } }));
      if (!closed) ondata();
    } catch {
      // The banner of the page says that the server is away; the plots go on when it is back.
    }
    if (!closed) timer = setTimeout(ask, 2000);
  }

  let answeredAt = 0;
  const newestAge = () => (performance.now() - answeredAt) / 1000;

  function take({ time, series }) {
    answeredAt = performance.now();
    const last = times.at(-1) ?? -Infinity;
    const from = time.findIndex((one) => one > last);
    if (from < 0) return;
    const before = times.length;
    times = [...times, ...time.slice(from)];
    for (const name of new Set([...Object.keys(columns), ...Object.keys(series)])) {
      const old = columns[name] ?? Array(before).fill(null);
      columns[name] = [...old, ...(series[name] ?? Array(time.length).fill(null)).slice(from)];
    }
    const drop = times.findIndex((one) => one >= times.at(-1) - LONGEST_S);
    if (drop > 0) {
      times = times.slice(drop);
      columns = Object.fromEntries(Object.entries(columns).map(([name, values]) => [name, values.slice(drop)]));
    }
  }

  ask();
  return {
    /** Return the times of the last seconds, and a function that cuts a series to them. */
    window(seconds) {
      const from = Math.max(0, times.findIndex((one) => one >= (times.at(-1) ?? 0) - seconds));
      return { times: times.slice(from), cut: (values) => values.slice(from) };
    },
    series: (name) => columns[name] ?? [],
    /** Return how fast a counter grows, for each point, per second; null where it is not known. */
    rate(name) {
      const values = columns[name] ?? [];
      return values.map((value, i) => {
        const before = values[i - 1];
        if (i === 0 || value === null || before === null || value < before) return null;
        const step = times[i] - times[i - 1];
        return step > 0 && step < 10 ? (value - before) / step : null;
      });
    },
    close() {
      closed = true;
      clearTimeout(timer);
    },
  };
}
