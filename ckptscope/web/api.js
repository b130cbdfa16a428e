// Where answers come from: the routes of a server, or one object inside the page. Both have the same methods.

// More changes of variables than a person looks at; the answer says how many there are.
const MOST_CHANGES = 200;

// The status of an answer that comes before what was asked for is found; it is asked for again so many times.
const SEARCHING = 503;
const SEARCH_TRIES = 10;
const SEARCH_WAIT_MS = 2000;

export function routes(base) {
  let numWaiting = 0;
  const count = (by) => {
    const before = numWaiting;
    numWaiting += by;
    if (!before !== !numWaiting) api.onSearching(numWaiting > 0);
  };
  const ask = async (route, parameters) => {
    const url = `${base}/api/v1/${queryText(route, parameters)}`;
    try {
      return await fetchJson(url);
    } catch (error) {
      if (error.status !== SEARCHING) throw error;
    }
    count(1);
    try {
      return await askAgain(url, SEARCH_TRIES);
    } finally {
      count(-1);
    }
  };
  // `onSearching(isSearching)`: told while a question waits for the server's first search.
  const api = {...questions(ask), isLive: true, chart: () => loadChart(base, ask), onSearching: () => {}};
  return api;
}

// `data.answers` maps route and parameters, without those that only say how much is wanted, to answers.
export function embedded(data) {
  const ask = async (route, parameters) => {
    const {from, to, n, limit, ...rest} = parameters;
    const key = queryText(route, rest);
    const answer = data.answers[key] || data.answers[`${key}?`];
    if (!answer) throw requestError(0, 'only in the interactive tab', 'tensorboard --logdir DIR shows it, under Data position');
    return answer;
  };
  return {...questions(ask), isLive: false, chart: async () => window.Plotly || null};
}

async function askAgain(url, numLeft) {
  await new Promise((resolve) => setTimeout(resolve, SEARCH_WAIT_MS));
  try {
    return await fetchJson(url);
  } catch (error) {
    if (error.status !== SEARCHING || numLeft <= 1) throw error;
  }
  return askAgain(url, numLeft - 1);
}

function questions(ask) {
  return {
    overview: () => ask('overview', {}),
    series: (parameters) => ask('series', parameters),
    coverage: (parameters) => ask('coverage', parameters),
    checkpoints: (run) => ask('checkpoints', {run}),
    inspect: (id) => ask('inspect', {id, variables: false}),
    diff: (a, b) => ask('diff', {a, b, limit: MOST_CHANGES}),
    state: (run, attempt, step) => ask('state', {run, attempt, step}),
  };
}

// Sorted by name, so that one question has one text.
function queryText(route, parameters) {
  const names = Object.keys(parameters).filter((name) => parameters[name] !== undefined && parameters[name] !== null).sort();
  const query = names.map((name) => `${name}=${encodeURIComponent(parameters[name])}`).join('&');
  return query ? `${route}?${query}` : route;
}

async function fetchJson(url) {
  let response;
  try {
    response = await fetch(url, {headers: {Accept: 'application/json'}});
  } catch (error) {
    throw requestError(0, 'The server does not answer', 'Is TensorBoard still running?');
  }
  let answer = null;
  try {
    answer = await response.json();
  } catch (error) {
    if (response.ok) throw requestError(response.status, 'The answer was cut off', 'Try again');
  }
  if (response.ok) return answer;
  throw requestError(response.status, (answer && answer.message) || `The server answered ${response.status}`, answer && answer.hint);
}

function requestError(status, message, hint) {
  return Object.assign(new Error(message), {status, hint: hint || null});
}

// The library is large: it is asked for only once, and its absence is no error.
async function loadChart(base, ask) {
  if (window.Plotly) return window.Plotly;
  const health = await ask('health', {});
  if (!health.plotly) return null;
  return new Promise((resolve) => {
    const script = document.createElement('script');
    script.src = `${base}/${health.plotly}`;
    script.onload = () => resolve(window.Plotly || null);
    script.onerror = () => resolve(null);
    document.head.append(script);
  });
}
