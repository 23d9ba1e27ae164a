// Typed lint at its strictest, and the architecture as a rule: `mayUse` says which ring may import which.
// test/architecture.test.ts plants violations to prove that the rule fires.
import js from "@eslint/js"
import { defineConfig } from "eslint/config"
import tseslint from "typescript-eslint"

/** Files at the top of src/ that everybody may import: they import nothing themselves. */
const LEAVES = ["errors", "ids", "log"]

/** Ring (folder, or file at the top of src/) → what it may import besides itself and the leaves. */
export const mayUse = {
  index: ["app", "scheduled"],
  app: ["http", "deps"],
  scheduled: ["deps", "domain"],
  deps: ["config", "db", "blobs", "mail", "scan", "crypto", "domain"],
  config: ["crypto"],
  http: ["domain", "protocol"],
  domain: ["db", "blobs", "mail", "scan", "crypto", "protocol", "office"],
  db: [],
  blobs: [],
  mail: [],
  scan: [],
  crypto: [],
  protocol: [],
  office: [],
  errors: [],
  ids: [],
  log: [],
}

/** Packages that belong to one ring, and the runtime's own modules. */
const PACKAGES = {
  hono: ["app", "http"],
  "@hono/": ["http"],
  "drizzle-orm": ["db"],
  "mailchannels-sdk": ["mail"],
  jose: ["crypto"],
  otpauth: ["crypto"],
  "@zxcvbn-ts/": ["domain"],
  "cloudflare:": [],
}

const FOLDERS = ["http", "domain", "db", "blobs", "mail", "scan", "crypto", "protocol", "office"]

function boundaryRule(ring) {
  const allowed = new Set([ring, ...mayUse[ring], ...(LEAVES.includes(ring) ? [] : LEAVES)])
  const forbidden = Object.keys(mayUse).filter((other) => !allowed.has(other))
  const patterns = []
  // From inside a folder other rings are reached through ../; at the top of src/ through ./
  if (forbidden.length > 0) {
    patterns.push({
      regex: `^(?:\\.\\.?/)+(?:${forbidden.join("|")})(?:/|\\.ts$)`,
      message: `${ring} may import only: ${[...allowed].join(", ")}.`,
    })
  }
  for (const [name, rings] of Object.entries(PACKAGES)) {
    if (!rings.includes(ring))
      patterns.push({
        regex: `^${name}${/[:/]$/.test(name) ? "" : "(?:/|$)"}`,
        message: `Only ${rings.join(", ") || "nobody"} may import ${name}.`,
      })
  }
  return {
    files: FOLDERS.includes(ring) ? [`src/${ring}/**/*.ts`] : [`src/${ring}.ts`],
    rules: { "no-restricted-imports": ["error", { patterns }] },
  }
}

export default defineConfig(
  { ignores: ["node_modules", ".wrangler", "dist", "coverage", "worker-configuration.d.ts"] },
  js.configs.recommended,
  {
    files: ["**/*.ts"],
    extends: [tseslint.configs.strictTypeChecked, tseslint.configs.stylisticTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: {
      "@typescript-eslint/consistent-type-definitions": ["error", "type"],
      "@typescript-eslint/consistent-type-imports": ["error", { fixStyle: "inline-type-imports" }],
      "@typescript-eslint/switch-exhaustiveness-check": "error",
      "@typescript-eslint/explicit-module-boundary-types": "off",
      // Index signatures need brackets under noPropertyAccessFromIndexSignature.
      "@typescript-eslint/dot-notation": "off",
      "no-restricted-globals": ["error", { name: "process", message: "The Worker reads its environment in config.ts only." }],
      "no-restricted-syntax": [
        "error",
        {
          selector: "CallExpression[callee.object.name='Date'][callee.property.name='now']",
          message: "Time is a parameter (now).",
        },
      ],
      "no-control-regex": "off",
      eqeqeq: "error",
    },
  },
  Object.keys(mayUse).map(boundaryRule),
  {
    // Commands and tests run in Node or drive the clock themselves.
    files: ["scripts/**/*.ts", "bench/**/*.ts", "test/**/*.ts", "*.config.ts"],
    rules: { "no-restricted-globals": "off", "no-restricted-syntax": "off" },
  },
  { files: ["**/*.js"], languageOptions: { globals: { process: "readonly" } } },
)
