// Between numbers of the answers (steps, Unix seconds) and values of the library's axes (steps, local dates).
import {clock} from './elements.js';

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
