// Prints the types of the wire from the documents of the server: `node generate.mjs`, or `--check` to compare.
import { readFile, writeFile } from "node:fs/promises";
import openapiTS, { astToString } from "openapi-typescript";

const HEAD = "// Printed by generate.mjs from docs/reference; do not edit.\n";
const reference = (name) => new URL(`../docs/reference/${name}.json`, import.meta.url);
const read = async (name) => JSON.parse(await readFile(reference(name), "utf8"));

async function printed(document) {
  return HEAD + astToString(await openapiTS(document, { alphabetize: true }));
}

/** The messages of the AsyncAPI document as schemas of a document that the printer knows. */
function framesOf(asyncapi) {
  const schemas = { ...asyncapi.components.schemas };
  for (const [name, message] of Object.entries(asyncapi.components.messages)) {
    // Schemas and messages may share a name but for its case: a frame says what it is.
    schemas[`frame_${name.replaceAll(".", "_")}`] = message.payload;
  }
  const told = Object.keys(asyncapi.components.messages).filter((name) => !name.startsWith("client."));
  schemas.Frame = { oneOf: told.map((name) => ({ $ref: `#/components/schemas/frame_${name}` })) };
  return { openapi: "3.1.0", info: { title: "frames", version: "1" }, paths: {}, components: { schemas } };
}

const files = {
  "openapi.ts": await printed(await read("openapi")),
  "frames.ts": await printed(framesOf(await read("asyncapi"))),
};
let drifted = 0;
for (const [name, text] of Object.entries(files)) {
  const target = new URL(`src/wire/${name}`, import.meta.url);
  if (!process.argv.includes("--check")) await writeFile(target, text);
  else if ((await readFile(target, "utf8").catch(() => "")) !== text) {
    drifted += 1;
    console.error(`src/wire/${name} is not what docs/reference says: run "npm run generate".`);
  }
}
process.exitCode = drifted ? 1 : 0;
