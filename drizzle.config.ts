import { defineConfig } from "drizzle-kit"

// `npm run db:generate` writes a migration from the schema; Wrangler and the tests apply drizzle/*.sql.
export default defineConfig({ dialect: "sqlite", schema: "./src/db/schema.ts", out: "./drizzle" })
