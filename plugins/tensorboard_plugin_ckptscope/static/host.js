// TensorBoard around this page: its reload button, theme, address, and whether the tab is in front.
//
// The frame is of the same origin, so theme and address are read from the parent, which the message protocol does
// not tell. Where the parent is another page, everything still works without them.

const PREFIX = 'p.ckptscope.';

export function tensorboardHost() {
  const page = parentPage();
  const dark = window.matchMedia('(prefers-color-scheme: dark)');
  let state = readHash(page);
  return {
    isDark: () => (page ? page.document.body.classList.contains('dark-mode') : dark.matches),
    onTheme(callback) {
      if (page) new MutationObserver(callback).observe(page.document.body, {attributes: true, attributeFilter: ['class']});
      else dark.addEventListener('change', callback);
    },
    // Another tab's link replaces the whole address: then what was shown last still holds.
    readState() {
      const keys = readHash(page);
      if (Object.keys(keys).length) state = keys;
      return state;
    },
    writeState(keys) {
      state = Object.fromEntries(Object.entries(keys).filter(([, value]) => value !== null && value !== undefined));
      if (page && isVisible()) writeHash(page, state);
    },
    onState: (callback) => page && page.addEventListener('hashchange', () => isVisible() && callback()),
    onReload: (callback) => listen(debounced(callback)),
    isVisible,
    onVisible(callback) {
      let was = isVisible();
      const look = () => {
        const is = isVisible();
        if (is && !was) callback();
        was = is;
      };
      window.addEventListener('resize', look);
      document.addEventListener('visibilitychange', look);
    },
    link: () => (page || window).location.href,
  };
}

// A tab in the background keeps its frame, at height 0.
function isVisible() {
  return window.innerHeight > 0 && document.visibilityState === 'visible';
}

function parentPage() {
  try {
    return window.parent !== window && window.parent.document.body ? window.parent : null;
  } catch (error) {
    return null;
  }
}

function hashParts(page) {
  return page ? page.location.hash.replace(/^#/, '').split('&').filter(Boolean) : [];
}

function readHash(page) {
  const keys = {};
  for (const part of hashParts(page)) {
    const at = part.indexOf('=');
    if (!part.startsWith(PREFIX) || at < 0) continue;
    try {
      keys[part.slice(PREFIX.length, at)] = decodeURIComponent(part.slice(at + 1));
    } catch (error) {
      keys[part.slice(PREFIX.length, at)] = part.slice(at + 1);
    }
  }
  return keys;
}

function writeHash(page, keys) {
  const others = hashParts(page).filter((part) => !part.startsWith(PREFIX));
  if (!others.length || others[0].includes('=')) others.unshift('ckptscope');
  if (others[0] !== 'ckptscope') return; // the address is already that of another tab
  const ours = Object.entries(keys).map(([key, value]) => `${PREFIX}${key}=${encodeURIComponent(value)}`);
  const address = new URL(page.location.href);
  address.hash = [...others, ...ours].join('&');
  page.history.replaceState(page.history.state, '', address);
}

// TensorBoard's protocol for plugins in a frame: every message is answered. It announces more runs several times at start.
function listen(onReload) {
  if (window.parent === window) return;
  const channel = new MessageChannel();
  channel.port1.onmessage = (event) => {
    const message = JSON.parse(event.data);
    if (message.isReply) return;
    if (message.type === 'experimental.DataReloaded' || message.type === 'experimental.RunsChanged') onReload();
    channel.port1.postMessage(JSON.stringify({type: message.type, id: message.id, payload: null, error: null, isReply: true}));
  };
  window.parent.postMessage('experimental.bootstrap', '*', [channel.port2]);
}

function debounced(callback) {
  let timer = null;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(callback, 300);
  };
}
