declare namespace Cloudflare {
  // eslint-disable-next-line @typescript-eslint/consistent-type-definitions -- merges with the generated Env
  interface Env {
    TEST_CORPUS: Record<string, string>
    TEST_PACKAGED: Record<string, string>
    // eslint-disable-next-line @typescript-eslint/consistent-type-imports -- an import would make this file a module
    TEST_MIGRATIONS: import("cloudflare:test").D1Migration[]
  }
}
