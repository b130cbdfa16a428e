// The host of a page that stands alone: its own address, the system's theme.

export function pageHost() {
  const dark = window.matchMedia('(prefers-color-scheme: dark)');
  return {
    isDark: () => dark.matches,
    onTheme: (callback) => dark.addEventListener('change', callback),
    readState: () => Object.fromEntries(new URLSearchParams(location.hash.slice(1))),
    writeState(keys) {
      const query = new URLSearchParams(Object.entries(keys).filter(([, value]) => value !== null && value !== undefined));
      history.replaceState(history.state, '', `#${query}`);
    },
    onState: (callback) => window.addEventListener('hashchange', callback),
    onReload: () => {},
    isVisible: () => document.visibilityState === 'visible',
    onVisible: (callback) => document.addEventListener('visibilitychange', () => {
      if (document.visibilityState === 'visible') callback();
    }),
    link: () => location.href,
  };
}
