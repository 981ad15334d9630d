// Evaluates expressions with GitHub's own library: a line of JSON is a case, and a line answers it.
//
//   echo '{"expression": "a.b", "contexts": {"a": {"b": 1}}}' | node expressions.mjs
//
// The answer is `{"value": …}`, `{"refused": "why"}` if it is no expression, or `{"failed": "why"}` if it has no value.
// In values a number is `{"number": "1.5"}`, since JSON has neither NaN nor Infinity, and an object a list of pairs.

import { createInterface } from "node:readline";
import { data, Evaluator, Lexer, Parser } from "@actions/expressions";
import { reviver } from "@actions/expressions/data/reviver";

function parse(expression, contexts) {
  const { tokens } = new Lexer(expression).lex();
  return new Parser(tokens, Object.keys(contexts), []).parse();
}

function valueOf(tree, contexts) {
  if (tree === undefined) return null;
  const values = JSON.parse(JSON.stringify(contexts), reviver);
  return encoded(new Evaluator(tree, values).evaluate());
}

function encoded(value) {
  switch (value.kind) {
    case data.Kind.Number:
      return { number: Object.is(value.value, -0) ? "0" : String(value.value) };
    case data.Kind.Array:
      return value.values().map(encoded);
    case data.Kind.Dictionary:
      return { object: value.pairs().map((pair) => [pair.key, encoded(pair.value)]) };
    case data.Kind.Null:
      return null;
    default:
      return value.value;
  }
}

function answer({ expression, contexts }) {
  let tree;
  try {
    tree = parse(expression, contexts);
  } catch (thrown) {
    return { refused: thrown.message };
  }
  try {
    return { value: valueOf(tree, contexts) };
  } catch (thrown) {
    return { failed: thrown.message };
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  console.log(JSON.stringify(answer(JSON.parse(line))));
}
