// Bundles the console: `node build.mjs FOLDER`; with `--tests FOLDER` its tests, for `node --test`.
import { readFile, readdir, rm, mkdir, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { gzipSync, constants } from "node:zlib";
import { build } from "esbuild";

const arguments_ = process.argv.slice(2).filter((word) => word !== "--tests");
const target = arguments_[0];
if (target === undefined) throw new Error("Say where to: node build.mjs FOLDER");
const common = { bundle: true, jsx: "automatic", jsxImportSource: "preact", logLevel: "warning" };

if (process.argv.includes("--tests")) {
  const tests = (await readdir("test")).filter((name) => name.endsWith(".test.ts")).map((name) => join("test", name));
  await build({ ...common, entryPoints: tests, outdir: target, format: "esm", platform: "node", outExtension: { ".js": ".mjs" } });
} else {
  await page();
}

async function page() {
  await rm(target, { recursive: true, force: true });
  await mkdir(join(target, "assets"), { recursive: true });
  const made = await build({
    ...common,
    entryPoints: { console: "src/main.tsx", style: "src/styles/index.css" },
    outdir: join(target, "assets"),
    entryNames: "[name]-[hash]",
    assetNames: "[name]-[hash]",
    format: "esm",
    target: ["chrome111", "firefox113", "safari16.4"],
    minify: true,
    metafile: true,
    legalComments: "none", // all licences are in one file
    define: { "process.env.NODE_ENV": '"production"' },
  });
  const files = Object.keys(made.metafile.outputs).map((path) => basename(path));
  const one = (name, ending) => files.find((file) => file.startsWith(`${name}-`) && file.endsWith(ending));
  let html = await readFile("src/index.html", "utf8");
  html = html.replace("SCRIPT", `assets/${one("console", ".js")}`).replace("STYLE", `assets/${one("style", ".css")}`);
  await writeFile(join(target, "index.html"), html);
  await writeFile(join(target, "licences.txt"), await licences(Object.keys(made.metafile.inputs)));
  for (const file of files.filter((name) => /\.(js|css|svg)$/.test(name))) {
    const path = join(target, "assets", file);
    await writeFile(`${path}.gz`, gzipSync(await readFile(path), { level: constants.Z_BEST_COMPRESSION }));
  }
}

/** What the authors of the bundled packages ask to be passed on. */
async function licences(inputs) {
  const packages = new Set(inputs.map((path) => /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1]).filter(Boolean));
  const texts = [];
  for (const name of [...packages].sort()) {
    const folder = join("node_modules", name);
    const { version, license } = JSON.parse(await readFile(join(folder, "package.json"), "utf8"));
    const file = (await readdir(folder)).find((entry) => /^licen[cs]e(\.|$)/i.test(entry));
    const text = file === undefined ? "" : await readFile(join(folder, file), "utf8");
    texts.push(`${name} ${version} (${license})\n\n${text.trim()}\n`);
  }
  return texts.join(`\n${"-".repeat(80)}\n\n`);
}
