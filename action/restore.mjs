import { MISS, entry, hasToken, runcache } from "./cli.mjs";
import { fail, input, isTrue, lines, saveState } from "./job.mjs";

const [key, restoreKeys] = [input("key"), lines("restore-keys")];
const isLookup = isTrue("lookup-only");
const isMissFatal = isTrue("fail-on-cache-miss");

async function restore() {
  for (const name of ["key", "path"]) if (!input(name)) return fail(`Input required and not supplied: ${name}`);
  saveState("CACHE_KEY", key);
  const { code, answer } = hasToken()
    ? await runcache(
        "restore",
        ...entry(key, ...restoreKeys),
        ...(isLookup ? ["--lookup-only"] : []),
        ...(isMissFatal ? ["--fail-on-cache-miss"] : []),
      )
    : { code: isMissFatal ? MISS : 0, answer: { hit: false } };
  if (code === MISS) {
    return fail(`Failed to restore cache entry. Exiting as fail-on-cache-miss is set. Input key: ${key}`);
  }
  if (code !== 0) return fail(`runcache restore ended with exit code ${code}; the log says why`);
  if (!answer.hit) return console.log(`Cache not found for input keys: ${[key, ...restoreKeys].join(", ")}`);
  saveState("CACHE_RESULT", answer.matched_key);
  const found = isLookup ? "Cache found and can be restored from key" : "Cache restored from key";
  console.log(`${found}: ${answer.matched_key}`);
}

await restore().catch((error) => fail(error.message));
