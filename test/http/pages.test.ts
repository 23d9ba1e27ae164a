// The page at the service's own address: mails tell people to log in there, so it says where that is done.
import { describe, expect, it } from "vitest"
import { createTestClient } from "../support/client.ts"

describe("the front page", () => {
  it("is one, without scripts, and says where to go", async () => {
    const response = await createTestClient().request("/")
    expect([response.status, response.headers.get("content-type")]).toEqual([200, "text/html; charset=UTF-8"])
    expect(response.headers.get("content-security-policy")).toContain("default-src 'none'")
    const html = await response.text()
    expect(html).toContain("<title>Sealpost</title>")
    expect(html).toContain("whoever sends you documents has named")
    expect(html).not.toContain("<script")
  })

  it("hides no address that does not exist", async () => {
    const api = createTestClient()
    expect(await api.problem("/index.html")).toMatchObject({ status: 404, code: "not_found" })
    expect(await (await api.request("/verify-email/x")).text()).toContain(
      '<title>Confirm your e-mail address · Sealpost</title>\n<link rel="stylesheet" href="/page.css">\n<script src="/verify-email.js" defer></script>\n</head>',
    )
  })
})
