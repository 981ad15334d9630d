// Searches for files as GitHub's own library does: one line of JSON in, one line out, for each search.
//
// in:  library ("glob", or "older" for that of @actions/cache 4), folder (where to work), home, patterns, options (the
//      library's own), and workspace if hashFiles is wanted as well, which the older library does not have
// out: files (absolute, in order) and digest; or error (name, code and message of what was thrown)

import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import * as glob from "@actions/glob";

const required = createRequire(new URL("node_modules/cache-v4/package.json", import.meta.url));
const libraries = { glob, older: required("@actions/glob") };

// What the libraries log goes nowhere.
const print = process.stdout.write.bind(process.stdout);
process.stdout.write = () => true;

async function answered({ library, folder, home, patterns, options, workspace }) {
  process.chdir(folder);
  process.env.HOME = home;
  const text = patterns.join("\n");
  const globber = await libraries[library].create(text, options);
  const answer = { files: await globber.glob() };
  if (workspace !== undefined) {
    answer.digest = await glob.hashFiles(text, workspace, options);
  }
  return answer;
}

for (const line of readFileSync(0, "utf8").split("\n").filter(Boolean)) {
  let answer;
  try {
    answer = await answered(JSON.parse(line));
  } catch (thrown) {
    answer = { error: { name: thrown.name, code: thrown.code ?? null, message: thrown.message } };
  }
  print(`${JSON.stringify(answer)}\n`);
}
