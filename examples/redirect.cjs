// Points the cache client of an action at runcache, where a runner has set the client's variables itself.
//
// Node loads this file before the action: `NODE_OPTIONS: --require=/path/to/redirect.cjs`, see docs/runners.md. It does
// nothing unless RUNCACHE_URL and RUNCACHE_TOKEN are both set, so a job without a token keeps the cache it had.

const { RUNCACHE_URL: url, RUNCACHE_TOKEN: token } = process.env;

if (url && token) {
  const origin = `${new URL(url).origin}/`;
  process.env.ACTIONS_RESULTS_URL = origin;
  process.env.ACTIONS_CACHE_URL = origin;
  process.env.ACTIONS_CACHE_SERVICE_V2 = "True";
  process.env.ACTIONS_RUNTIME_TOKEN = token;
}
