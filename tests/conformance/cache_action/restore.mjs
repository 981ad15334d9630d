import { input, inputLines, isSameKey, isSet, setOutput, setState } from "./inputs.mjs";

const client = await import(process.env.CACHE_CLIENT);
const [key, restoreKeys] = [input("key"), inputLines("restore-keys")];
const options = { lookupOnly: isSet("lookup-only") };

setState("CACHE_KEY", key);
try {
  const found = await client.restoreCache(inputLines("path"), key, restoreKeys, options, isSet("enableCrossOsArchive"));
  if (found) {
    setState("CACHE_RESULT", found);
    setOutput("cache-hit", isSameKey(found, key));
    console.log(options.lookupOnly ? `Cache found and can be restored from key: ${found}` : `Cache restored from key: ${found}`);
  } else if (isSet("fail-on-cache-miss")) {
    throw new Error(`Failed to restore cache entry. Exiting as fail-on-cache-miss is set. Input key: ${key}`);
  } else {
    console.log(`Cache not found for input keys: ${[key, ...restoreKeys].join(", ")}`);
  }
} catch (error) {
  console.log(`::error::${error.message}`);
  process.exitCode = 1;
}
// Connections that are kept alive would keep the process alive, too.
process.exit();
