// Making elements, and numbers, times and names as text. All text goes in as text nodes: it is never markup.

const INTEGERS = new Intl.NumberFormat('en-US');
const DECIMALS = new Intl.NumberFormat('en-US', {maximumSignificantDigits: 4});

// el('td', {class: 'n', on: {click: f}}, 'text', child): children that are null or false are left out.
export function el(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name === 'on') for (const [event, handler] of Object.entries(value)) element.addEventListener(event, handler);
    else if (name === 'data') Object.assign(element.dataset, value);
    else if (value === true) element.setAttribute(name, '');
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export function svgElement(tag, attributes, ...children) {
  const element = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

export function number(value) {
  if (value === null || value === undefined) return '–';
  if (typeof value !== 'number') return String(value);
  return Number.isInteger(value) ? INTEGERS.format(value) : DECIMALS.format(value);
}

export function signed(value) {
  return typeof value === 'number' && value > 0 ? `+${number(value)}` : number(value);
}

export function plural(count, noun) {
  return `${number(count)} ${noun}${count === 1 ? '' : 's'}`;
}

export function bytes(value) {
  if (typeof value !== 'number') return '–';
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  const power = Math.min(units.length - 1, value > 0 ? Math.floor(Math.log10(value) / 3) : 0);
  return `${power ? DECIMALS.format(value / 1000 ** power) : value} ${units[power]}`;
}

// Local time that both people and the chart's date axis read.
export function clock(seconds, fractionDigits = 0) {
  if (typeof seconds !== 'number') return '–';
  const at = new Date(seconds * 1000);
  const two = (value) => String(value).padStart(2, '0');
  const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  const time = `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
  return `${day} ${time}` + (fractionDigits ? `.${String(at.getMilliseconds()).padStart(3, '0')}` : '');
}

export function ago(seconds) {
  const age = Math.max(0, Date.now() / 1000 - seconds);
  if (age < 90) return `${Math.round(age)} s ago`;
  if (age < 5400) return `${Math.round(age / 60)} min ago`;
  if (age < 129600) return `${Math.round(age / 3600)} h ago`;
  return `${Math.round(age / 86400)} days ago`;
}

export function baseName(path) {
  return path ? String(path).replace(/[/\\]+$/, '').split(/[/\\]/).pop() : '–';
}

// Without the ending that all of them share, cut where a word begins: train-00000 of train-00000-of-00006.tfrecord.
export function shortNames(names) {
  if (names.length < 2) return names;
  let length = 0;
  const shortest = Math.min(...names.map((name) => name.length)) - 1;
  while (length < shortest && names.every((name) => name[name.length - 1 - length] === names[0][names[0].length - 1 - length])) length += 1;
  const word = names[0].slice(names[0].length - length).search(/[-._]/);
  return word < 0 ? names : names.map((name) => name.slice(0, name.length - length + word));
}

// The chart library reads a few tags in its texts.
export function withoutMarkup(text) {
  return String(text).replace(/&/g, '&amp;').replace(/</g, '&lt;');
}

// From 0 up to 28 is 0..27, as the headlines have it.
export function rangeText(from, to) {
  return `${number(from)}..${number(to - 1)}`;
}

// [from, to] or a list of {epoch, from, to}, as the contract has both.
export function rangesText(ranges) {
  if (!ranges || !ranges.length) return '–';
  if (typeof ranges[0] === 'number') return rangeText(ranges[0], ranges[1]);
  return ranges.map((range) => {
    const [from, to] = Array.isArray(range) ? range : [range.from, range.to];
    const epoch = range.epoch === undefined || range.epoch === null ? '' : ` of epoch ${number(range.epoch)}`;
    return rangeText(from, to) + epoch;
  }).join(', ');
}

// Replaces what a box shows, and gives the focus back to the element with the same data-key.
export function repaint(box, ...children) {
  const focused = box.contains(document.activeElement) ? document.activeElement.dataset.key : null;
  box.replaceChildren(...children.flat().filter(Boolean));
  if (!focused) return;
  const again = [...box.querySelectorAll('[data-key]')].find((element) => element.dataset.key === focused);
  if (again) again.focus({preventScroll: true});
}
