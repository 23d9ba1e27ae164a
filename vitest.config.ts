import { readFileSync, readdirSync } from "node:fs"
import { join } from "node:path"
import { cloudflareTest, readD1Migrations } from "@cloudflare/vitest-plugin"
import { defineConfig } from "vitest/config"
import { newSecrets } from "./scripts/local-state.ts"
import { packagedDocuments } from "./test/support/packaged-documents.ts"

const CORPUS = "test/corpus"

/** The real documents, for tests that have no file system: file name → base64. */
const readCorpus = (): Record<string, string> =>
  Object.fromEntries(
    readdirSync(CORPUS)
      .filter((name) => /\.(?:docx|xlsx|pptx)$/.test(name))
      .map((name) => [name, readFileSync(join(CORPUS, name), "base64")]),
  )

/** And those in packages: path → base64. */
const readPackaged = (): Record<string, string> =>
  Object.fromEntries(packagedDocuments.map(({ path }) => [path, readFileSync(join("node_modules", path), "base64")]))

const secrets = newSecrets()
// Wrangler warns of required secrets that it finds nowhere.
Object.assign(process.env, secrets)

// Two projects: `workers` runs inside workerd with real D1 and R2 bindings, `node` drives commands, the
// lint rules and a whole `npm start` from outside.
export default defineConfig({
  test: {
    maxWorkers: 2,
    projects: [
      {
        plugins: [
          cloudflareTest(async () => ({
            wrangler: { configPath: "./wrangler.toml" },
            miniflare: {
              bindings: {
                ...secrets,
                PUBLIC_ORIGIN: "https://sealpost.test",
                MAIL_TRANSPORT: "mailchannels",
                MAIL_FROM: "Sealpost <files@sealpost.test>",
                MAILCHANNELS_API_KEY: "test-api-key",
                TEST_CORPUS: readCorpus(),
                TEST_PACKAGED: readPackaged(),
                TEST_MIGRATIONS: await readD1Migrations("drizzle"),
              },
            },
          })),
        ],
        // With production's caps on password hashing (test/support/production-caps.ts).
        resolve: {
          alias: [{ find: /^node:crypto$/, replacement: join(import.meta.dirname, "test/support/capped-node-crypto.ts") }],
        },
        test: {
          name: "workers",
          include: ["test/**/*.test.ts"],
          exclude: ["test/node/**", "test/e2e/**", "test/timing/**"],
          setupFiles: ["./test/support/production-caps.ts", "./test/support/apply-migrations.ts"],
          globalSetup: ["./test/support/mail-server.ts", "./test/support/scanner-server.ts"],
          testTimeout: 30_000,
          hookTimeout: 60_000,
        },
      },
      {
        test: {
          name: "node",
          include: ["test/node/**/*.test.ts", "test/e2e/**/*.test.ts"],
          testTimeout: 180_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
})
