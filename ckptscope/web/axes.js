// Between numbers of the answers (steps, Unix seconds) and values of the library's axes (steps, local dates).
import {clock, shortNames, withoutMarkup} from './elements.js';

export function axisValue(mode, value) {
  return mode === 'time' && value !== null ? clock(value, 3) : value;
}

export function axisRange(mode, range) {
  return [axisValue(mode, range.from), axisValue(mode, range.to)];
}

// Back from what the library tells about its axis.
export function axisNumber(mode, value) {
  return mode === 'time' && typeof value === 'string' ? new Date(value.replace(' ', 'T')).getTime() / 1000 : Number(value);
}

// Steps and examples have no fractions: where there is room for some, every number has its tick.
export function wholeTicks({from, to}, room) {
  return to - from < room ? {tickmode: 'linear', tick0: 0, dtick: 1} : {};
}

// File names at which there is room for a line of text.
export function fileTicks(ticks, frame) {
  const names = shortNames(ticks.map((tick) => tick.text));
  const perValue = (frame.box.bottom - frame.box.top) / (frame.y.to - frame.y.from);
  const kept = [];
  for (const [i, tick] of ticks.entries()) {
    if (kept.length && (tick.value - kept[kept.length - 1].value) * perValue < 15) continue;
    kept.push({value: tick.value, text: withoutMarkup(names[i].length > 12 ? `…${names[i].slice(-11)}` : names[i])});
  }
  return {tickmode: 'array', tickvals: kept.map((tick) => tick.value), ticktext: kept.map((tick) => tick.text)};
}
