// Do the migrations make the schema? Generates once more into a copy of drizzle/ and fails if that adds a
// file: then src/db/schema.ts has changed without a migration (npm run db:generate).
import { spawnSync } from "node:child_process"
import { cpSync, mkdtempSync, readdirSync, rmSync } from "node:fs"
import { basename, join } from "node:path"
import { PROJECT_DIR } from "./wrangler.ts"

const drizzleKit = join(PROJECT_DIR, "node_modules/drizzle-kit/bin.cjs")
// Inside the project: drizzle-kit takes relative folders only.
const copy = basename(mkdtempSync(join(PROJECT_DIR, ".drift-")))

try {
  cpSync("drizzle", copy, { recursive: true })
  const args = [drizzleKit, "generate", "--dialect", "sqlite", "--schema", "./src/db/schema.ts", "--out", copy]
  const { status, stdout, stderr } = spawnSync(process.execPath, args, {
    cwd: PROJECT_DIR,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
  })
  const before = readdirSync("drizzle").sort().join()
  const after = readdirSync(copy).sort().join()
  if (status !== 0 || before !== after) {
    console.error(`${stdout}${stderr}\nThe schema and its migrations differ. Run: npm run db:generate`)
    process.exitCode = 1
  } else {
    console.log("The migrations make exactly the schema.")
  }
} finally {
  rmSync(copy, { recursive: true, force: true })
}
