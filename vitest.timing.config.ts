import { defineConfig } from "vitest/config"

// npm run test:timing: apart from `npm test`, because it needs minutes and a machine to itself.
export default defineConfig({
  test: { include: ["test/timing/**/*.test.ts"], testTimeout: 1_800_000, hookTimeout: 300_000 },
})
