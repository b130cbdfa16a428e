// Colours, shapes and words. Nothing is told by colour alone: verdicts have a shape and a word, attempts a dash,
// bands a symbol and a number.

const VERDICTS = {
  exact: {word: 'exact', mark: '●', symbol: 'circle', size: 10, light: '#0B6BCB', dark: '#6CB6F5'},
  approximate: {word: 'approximate', mark: '◆', symbol: 'diamond', size: 11, light: '#A86A00', dark: '#F2C14E'},
  impossible: {word: 'cannot resume', mark: '✖', symbol: 'x', size: 12, light: '#8F1D5A', dark: '#FF6FB0'},
  unknown: {word: 'unknown', mark: '□', symbol: 'square-open', size: 10, light: '#6E7781', dark: '#9AA4AE'},
};

// Of lines and steps that only evaluated.
export const EVALUATION_WORDS = 'evaluation: not part of the weights';

export const VERDICT_NAMES = ['exact', 'approximate', 'impossible', 'unknown'];

// What a cell of the coverage table may say.
export const READ_MARKS = {
  once: {mark: '', word: 'read once'},
  repeated: {mark: '↺', word: 'read again'},
  skipped: {mark: '⇥', word: 'not all read'},
  mixed: {mark: '↺⇥', word: 'some read again, some not read'},
  partial: {mark: '…', word: 'read so far'},
  none: {mark: '', word: 'not read'},
};

// Each has a contrast of at least 3 with its background, and none looks like a verdict.
const LINES = {
  light: ['#00707A', '#7A3FA0', '#4D6B00', '#A03B2A', '#5B4FC7', '#007A4D', '#3F5566', '#8A5A44'],
  dark: ['#5CCFD6', '#CF9BEA', '#B5CF5B', '#F2937F', '#A9A0FF', '#5FD39A', '#B4C4D0', '#DDB49E'],
};

const DASHES = ['solid', '7px,4px', '2px,3px', '10px,3px,2px,3px', '15px,4px'];

const THEMES = {
  light: {paper: '#FFFFFF', veil: 'rgba(255, 255, 255, 0.75)', text: '#1B1F24', muted: '#57606A', grid: '#E6E9ED', edge: '#8A939C',
          repeated: 'rgba(143, 29, 90, 0.11)', repeatedEdge: '#8F1D5A', skipped: 'rgba(168, 106, 0, 0.13)', skippedEdge: '#A86A00'},
  dark: {paper: '#303030', veil: 'rgba(48, 48, 48, 0.75)', text: '#F0F0F0', muted: '#B4BCC4', grid: '#454545', edge: '#8A939C',
         repeated: 'rgba(255, 111, 176, 0.17)', repeatedEdge: '#FF6FB0', skipped: 'rgba(242, 193, 78, 0.17)', skippedEdge: '#F2C14E'},
};

export function verdictOf(name) {
  return VERDICTS[name] || VERDICTS.unknown;
}

export function verdictName(name) {
  return VERDICTS[name] ? name : 'unknown';
}

export function paletteOf(isDark) {
  const theme = isDark ? 'dark' : 'light';
  return {
    ...THEMES[theme],
    verdict: (name) => verdictOf(name)[theme],
    hue: (index) => LINES[theme][index % LINES[theme].length],
    dash: (index) => DASHES[index % DASHES.length],
  };
}
