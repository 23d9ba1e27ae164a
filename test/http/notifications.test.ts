// What people are mailed about files, and what not: through the real calls, cron with a clock of its own, and a real
// HTTP server in place of the mail service.
import { beforeAll, beforeEach, describe, expect, it } from "vitest"
import { notices } from "../../src/db/schema.ts"
import { type NoticeWorld, type Person, createNoticeWorld } from "../support/notices.ts"
import type { ProblemBody } from "../support/client.ts"

const HOUR = 60
const DAY_MS = 24 * 60 * 60_000

let world: NoticeWorld
beforeAll(async () => {
  world = await createNoticeWorld()
})
beforeEach(() => {
  world.api.clock.nowMs = world.startMs
})

/** Subjects of what somebody got. */
const subjects = async (person: Pick<Person, "email">): Promise<string[]> =>
  (await world.mailsTo(person)).map(({ subject }) => subject)

describe("a client is mailed", () => {
  it("once for a burst, when it is over, with the names of all files", async () => {
    const ann = await world.newPerson()
    const first = await world.newFile(`clients=${ann.id}`, "first.docx")
    await world.later(1)
    await world.newFile(`clients=${ann.id}`, "second <b>&.docx")
    await world.later(1.5)
    expect(await subjects(ann)).toEqual([])
    await world.later(0.5)
    const [mail] = await world.mailsTo(ann)
    expect(mail?.subject).toBe("2 new files for you")
    expect(mail?.text).toContain("  - first.docx\n  - second <b>&.docx\n")
    expect(mail?.text).toContain("https://sealpost.test ")
    await world.later(10)
    await world.later(HOUR)
    expect(await subjects(ann)).toHaveLength(1)
    const row = (await world.api.db.select().from(notices)).find(
      ({ clientId, fileId }) => clientId === ann.id && fileId === first,
    )
    expect(row).toMatchObject({ kind: "file_available", recipientId: ann.id, expiryMs: 0 })
    expect(row?.settledAtMs).not.toBeNull()
    expect(row?.mailId).toMatch(/^[0-9a-f-]{36}$/)
  })

  it("after a quarter of an hour, however long the burst goes on", async () => {
    const ann = await world.newPerson()
    for (let minute = 0; minute < 15; minute++) {
      await world.newFile(`clients=${ann.id}`)
      await world.later(1)
      expect([minute, await subjects(ann)]).toEqual([minute, minute < 14 ? [] : ["15 new files for you"]])
    }
  })

  it("of at most twenty names, and how many more there are", async () => {
    const ann = await world.newPerson()
    await world.copyFile(await world.newFile(`clients=${ann.id}`), 21)
    await world.later(2)
    const [mail] = await world.mailsTo(ann)
    expect(mail?.subject).toBe("22 new files for you")
    expect(mail?.text.match(/^ {2}- /gm)).toHaveLength(20)
    expect(mail?.text).toContain("\n  and 2 more\n")
  })

  it("when a file is given to a group of theirs, and when they are added to a group", async () => {
    const [ann, bob] = [await world.newPerson(), await world.newPerson()]
    const group = await world.newGroup(ann)
    await world.newFile(`groups=${group}`, "x.docx")
    await world.later(0)
    await world.later(2)
    expect([await subjects(ann), await subjects(bob)]).toEqual([["A new file for you"], []])
    await world.call("POST", `/api/ops/groups/${group}/members`, { clients: [ann.id, bob.id] })
    await world.later(0)
    await world.later(2)
    expect([await subjects(ann), await subjects(bob)]).toEqual([["A new file for you"], ["A new file for you"]])
    expect((await world.mailsTo(bob))[0]?.text).toContain("  - x.docx\n")
  })

  it("when a file is published for everyone, but not if they signed up after that", async () => {
    const old = await world.newPerson({ createdAtMs: world.startMs - 1 })
    const young = await world.newPerson({ createdAtMs: world.startMs + 1 })
    const file = await world.newFile("audience=chosen")
    await world.later(0)
    await world.later(2)
    expect([await subjects(old), await subjects(young)]).toEqual([[], []])
    world.api.clock.nowMs = world.startMs
    await world.call("PUT", `/api/ops/files/${file}/audience`, { audience: "everyone" })
    await world.later(0)
    await world.later(2)
    expect([await subjects(old), await subjects(young)]).toEqual([["A new file for you"], []])
  })

  it("never again for the same file: not when it is given once more in another way, or taken off and given back", async () => {
    const ann = await world.newPerson()
    const file = await world.newFile(`clients=${ann.id}`)
    await world.later(0)
    await world.later(2)
    const group = await world.newGroup(ann)
    await world.call("POST", "/api/ops/assignments", { files: [file], groups: [group], mode: "add" })
    await world.call("POST", "/api/ops/assignments", { files: [file], clients: [ann.id], mode: "remove" })
    await world.call("POST", "/api/ops/assignments", { files: [file], clients: [ann.id], mode: "add" })
    await world.call("PATCH", `/api/ops/files/${file}`, { downloadLimit: 3 })
    await world.later(1)
    await world.later(HOUR / 6)
    expect(await subjects(ann)).toHaveLength(1)
  })

  it("not of what was taken off before the mail went, but when it is given back after all", async () => {
    const ann = await world.newPerson()
    const taken = await world.newFile(`clients=${ann.id}`, "taken.docx")
    await world.newFile(`clients=${ann.id}`, "kept.docx")
    await world.later(0)
    await world.call("POST", "/api/ops/assignments", { files: [taken], clients: [ann.id], mode: "remove" })
    await world.later(2)
    const [mail] = await world.mailsTo(ann)
    expect(mail?.subject).toBe("A new file for you")
    expect(mail?.text).not.toContain("taken.docx")
    await world.call("POST", "/api/ops/assignments", { files: [taken], clients: [ann.id], mode: "add" })
    await world.later(0)
    await world.later(2)
    expect((await world.mailsTo(ann))[1]?.text).toContain("taken.docx")
  })

  it.each<[string, (file: string, ann: Person) => Promise<unknown>]>([
    ["was deleted", (file) => world.call("DELETE", `/api/ops/files/${file}`)],
    ["has expired", (file) => world.setExpiry(file, world.api.clock.nowMs + 60_000)],
    ["is being fetched already", (file, ann) => world.download(file, ann, false)],
  ])("not of what %s before the mail went", async (_, happens) => {
    const ann = await world.newPerson()
    const file = await world.newFile(`clients=${ann.id}`)
    const twin = await world.newPerson()
    await world.newFile(`clients=${twin.id}`)
    await world.later(0)
    await happens(file, ann)
    await world.later(2)
    expect([await subjects(ann), await subjects(twin)]).toEqual([[], ["A new file for you"]])
  })

  it("when a file comes back from the trash, if they were not told before", async () => {
    const [ann, bob] = [await world.newPerson(), await world.newPerson()]
    const file = await world.newFile(`clients=${ann.id}`, "back.docx")
    await world.later(2)
    await world.call("POST", "/api/ops/assignments", { files: [file], clients: [bob.id], mode: "add" })
    await world.later(0)
    await world.call("DELETE", `/api/ops/files/${file}`)
    await world.later(2)
    // Other files are told meanwhile, and the one in the trash makes no work.
    await world.newFile(`clients=${bob.id}`, "other.docx")
    await world.later(2)
    expect((await world.mailsTo(bob)).map(({ text }) => text.includes("back.docx"))).toEqual([false])
    expect(
      await world.api.db.$client.prepare("select * from notice_bundles where recipient_id = ?").bind(bob.id).first(),
    ).toBeNull()
    await world.call("POST", `/api/ops/files/${file}/restore`)
    await world.later(2)
    await world.later(5)
    expect((await world.mailsTo(bob)).map(({ text }) => text.includes("back.docx"))).toEqual([false, true])
    expect(await subjects(ann)).toEqual(["A new file for you"])
  })

  it("not of another name, date or version of what they have been told of", async () => {
    const ann = await world.newPerson()
    const file = await world.newFile(`clients=${ann.id}`)
    await world.later(2)
    await world.call("PATCH", `/api/ops/files/${file}`, { name: "b.docx", description: "d", expiresAt: "2026-12-24T12:00:00Z" })
    const version = {
      method: "PUT",
      token: world.ops.tokens.accessToken,
      body: (await import("../support/documents.ts")).realDocument("pandoc.docx"),
    }
    expect((await world.api.request(`/api/ops/files/${file}/content`, version)).status).toBe(200)
    await world.later(2)
    await world.later(5)
    expect(await subjects(ann)).toEqual(["A new file for you"])
  })

  it("not while disabled or unproven, nor afterwards of what was given meanwhile", async () => {
    const fine = await world.newPerson()
    const disabled = await world.newPerson({ disabledAtMs: 1 })
    const unproven = await world.newPerson({ verifiedAtMs: null, createdAtMs: world.startMs })
    const later = await world.newPerson()
    await world.newFile(`clients=${[fine, disabled, unproven, later].map(({ id }) => id).join()}`)
    await world.later(0)
    await world.call("POST", `/api/ops/clients/${later.id}/disable`)
    await world.later(2)
    await world.call("POST", `/api/ops/clients/${later.id}/enable`)
    await world.call("POST", `/api/ops/clients/${disabled.id}/enable`)
    await world.later(5)
    expect(await subjects(fine)).toHaveLength(1)
    expect([await subjects(disabled), await subjects(unproven), await subjects(later)]).toEqual([[], [], []])
  })
})

describe("the uploader is mailed", () => {
  it("of the first delivery to each client, who, what and when, once for a burst", async () => {
    const uploader = await world.api.newOps()
    const [ann, bob] = [await world.newPerson(), await world.newPerson()]
    const upload = { method: "PUT", token: uploader.tokens.accessToken, body: await documentBytes() }
    const made = await world.api.request(`/api/ops/upload/offer.docx?clients=${ann.id},${bob.id}`, upload)
    const { id } = (await made.json<{ file: { id: string } }>()).file
    await world.download(id, ann)
    await world.download(id, bob, false)
    await world.later(1)
    await world.download(id, ann)
    await world.download(id, bob)
    await world.later(1)
    await world.later(2)
    const mails = await world.mailsTo(uploader)
    expect(mails.map(({ subject }) => subject)).toEqual(["2 deliveries of your files"])
    expect(mails[0]?.text).toContain(`  - offer.docx: ${ann.email}, 2026-11-23 12:00 UTC\n`)
    expect(mails[0]?.text).toContain(`  - offer.docx: ${bob.email}, 2026-11-23 12:01 UTC\n`)
    await world.download(id, ann)
    await world.later(3)
    await world.later(3)
    expect(await world.mailsTo(uploader)).toHaveLength(1)
  })

  it("of a download that a client has really made", async () => {
    const uploader = await world.api.newOps()
    const ann = await world.api.newClient()
    const upload = { method: "PUT", token: uploader.tokens.accessToken, body: await documentBytes() }
    const made = await world.api.request("/api/ops/upload/real.docx?audience=chosen", upload)
    const { id } = (await made.json<{ file: { id: string } }>()).file
    const clients = await world.api.request(`/api/ops/clients?email=${ann.email}`, { token: uploader.tokens.accessToken })
    const [client] = (await clients.json<{ clients: { id: string }[] }>()).clients
    const assignment = { files: [id], clients: [client?.id], mode: "add" }
    await world.api.request("/api/ops/assignments", { token: uploader.tokens.accessToken, json: assignment })
    const link = await world.api.request(`/api/client/download/${id}`, { token: ann.tokens.accessToken })
    const url = new URL((await link.json<{ "download-link": string }>())["download-link"])
    expect((await world.api.request(url.pathname, { token: ann.tokens.accessToken })).status).toBe(200)
    // As it is in production: by all of cron, whenever it comes.
    world.api.clock.nowMs += 5 * 60_000
    await world.api.runCron()
    expect((await world.mailsTo(uploader))[0]?.text).toContain(`  - real.docx: ${ann.email}, 2026-11-23 12:00 UTC\n`)
    // And whoever has fetched it need not hear that they may.
    expect((await subjects(ann)).filter((subject) => subject.includes("file"))).toEqual([])
  })
})

const documentBytes = async () => (await import("../support/documents.ts")).realDocument("npm-docx.docx")

describe("before a file expires", () => {
  async function expiring(uploader: { id: string }, ...clients: Person[]): Promise<string> {
    const file = await world.newFile(
      `clients=${clients.map(({ id }) => id).join()}&notify=expiryReminders,expiryReports`,
      "plan.docx",
    )
    await world.api.db.$client.prepare("update files set owner_id = ? where id = ?").bind(uploader.id, file).run()
    await world.setExpiry(file, world.startMs + 3 * DAY_MS)
    return file
  }
  const newUploader = () => world.newPerson({ role: "ops" })

  it("its owner is told who has not got it, and whoever has not is reminded: once, two days ahead", async () => {
    const uploader = await newUploader()
    const [ann, bob, carl] = [await world.newPerson(), await world.newPerson(), await world.newPerson()]
    const file = await expiring(uploader, ann, bob, carl)
    await world.download(file, ann)
    await world.download(file, carl, false)
    await world.later(23 * HOUR)
    await world.later(3)
    expect(await subjects(uploader)).toEqual([])
    await world.later(HOUR)
    await world.later(2)
    const [report] = await world.mailsTo(uploader)
    expect(report?.subject).toBe("A file of yours is about to expire")
    const missing = [bob.email, carl.email].toSorted().map((email) => `  - ${email}\n`)
    expect(report?.text).toContain(
      `plan.docx (until 2026-11-26 12:00 UTC):\n  fetched by 1 of 3 clients. Not yet by:\n${missing.join("")}`,
    )
    expect(await subjects(ann)).toEqual([])
    for (const person of [bob, carl]) {
      expect(await subjects(person)).toEqual(["A file for you is about to expire"])
      expect((await world.mailsTo(person))[0]?.text).toContain("  - plan.docx (until 2026-11-26 12:00 UTC)\n")
    }
    await world.later(HOUR)
    await world.later(HOUR)
    expect([await subjects(uploader), await subjects(bob)].map(({ length }) => length)).toEqual([1, 1])
  })

  it("again, when it is put off, two days before the later date; not when it is brought forward", async () => {
    const uploader = await newUploader()
    const ann = await world.newPerson()
    const file = await expiring(uploader, ann)
    await world.later(24 * HOUR)
    await world.later(2)
    expect([await subjects(uploader), await subjects(ann)].map(({ length }) => length)).toEqual([1, 1])
    await world.setExpiry(file, world.startMs + 2 * DAY_MS)
    await world.later(5)
    await world.later(5)
    expect([await subjects(uploader), await subjects(ann)].map(({ length }) => length)).toEqual([1, 1])
    await world.setExpiry(file, world.startMs + 5 * DAY_MS)
    await world.later(24 * HOUR)
    await world.later(24 * HOUR)
    await world.later(2)
    expect([await subjects(uploader), await subjects(ann)].map(({ length }) => length)).toEqual([2, 2])
    expect((await world.mailsTo(ann))[1]?.text).toContain("until 2026-11-28 12:00 UTC")
  })

  it.each<[string, (file: string) => Promise<void>]>([
    ["put off", (file) => world.setExpiry(file, world.startMs + 9 * DAY_MS)],
    ["taken away", (file) => world.setExpiry(file, null)],
  ])("nobody is told a date that was %s before the mail went", async (_, happens) => {
    const uploader = await newUploader()
    const ann = await world.newPerson()
    const file = await expiring(uploader, ann)
    await world.later(24 * HOUR)
    await happens(file)
    await world.later(5)
    expect([await subjects(uploader), await subjects(ann)]).toEqual([[], []])
  })

  it("nobody is reminded of what they have just been told, with its date", async () => {
    const ann = await world.newPerson()
    const file = await world.newFile(`clients=${ann.id}`)
    await world.setExpiry(file, world.startMs + DAY_MS)
    await world.later(0)
    await world.later(2)
    await world.later(5)
    const mails = await world.mailsTo(ann)
    expect(mails.map(({ subject }) => subject)).toEqual(["A new file for you"])
    expect(mails[0]?.text).toContain("  - a.docx (until 2026-11-24 12:00 UTC)\n")
  })
})

describe("notifications can be turned off", () => {
  it("by each person, for the kinds that are theirs", async () => {
    const { api } = world
    const ann = await api.newClient()
    const path = "/api/auth/notifications"
    const asAnn = { token: ann.tokens.accessToken }
    expect(await (await api.request(path, asAnn)).json()).toEqual({ notifications: { newFiles: true, expiryReminders: true } })
    expect(await (await api.request(path, { token: world.ops.tokens.accessToken })).json()).toEqual({
      notifications: { deliveries: true, expiryReports: true },
    })
    const patch = (json: unknown) => api.request(path, { ...asAnn, method: "PATCH", json })
    for (const [json, field, rule] of [
      [{ deliveries: false }, "deliveries", "unknown_field"],
      [{ newFiles: "no" }, "newFiles", "invalid_type"],
      [{ other: true }, "other", "unknown_field"],
      [{}, "", "missing"],
    ] as const) {
      const refused = await patch(json)
      const problem = await refused.json<ProblemBody>()
      expect([refused.status, problem.code, problem.errors?.[0]?.field, problem.errors?.[0]?.rule]).toEqual([
        422,
        "validation_failed",
        field,
        rule,
      ])
    }
    expect(await (await api.request(path, asAnn)).json()).toEqual({ notifications: { newFiles: true, expiryReminders: true } })

    const clients = await world.call("GET", `/api/ops/clients?email=${ann.email}`)
    const [row] = (await clients.json<{ clients: { id: string }[] }>()).clients
    const twin = await world.newPerson()
    const mailed = async () =>
      (await subjects(ann)).filter((subject) => subject.includes("file")).length - (await subjects(twin)).length
    await world.newFile(`clients=${row?.id ?? ""},${twin.id}`)
    await world.later(0)
    // Off when the file is already on its way, and off from the beginning.
    expect(await (await patch({ newFiles: false })).json()).toEqual({
      notifications: { newFiles: false, expiryReminders: true },
      message: "success",
    })
    await world.newFile(`clients=${row?.id ?? ""},${twin.id}`)
    await world.later(0)
    await world.later(2)
    expect(await mailed()).toBe(-1)
    await patch({ newFiles: true })
    await world.later(5)
    expect(await mailed()).toBe(-1)
    await world.newFile(`clients=${row?.id ?? ""},${twin.id}`)
    await world.later(0)
    await world.later(2)
    expect(await mailed()).toBe(-1)
    expect(await subjects(twin)).toHaveLength(2)
  })

  it.each(["newFiles", "deliveries"])("for each file: %s", async (kind) => {
    const [ann, uploader] = [await world.newPerson(), await world.newPerson({ role: "ops" })]
    const told = async (query: string, then: (file: string) => Promise<unknown>) => {
      const file = await world.newFile(`clients=${ann.id}${query}`)
      await then(file)
      await world.api.db.$client.prepare("update files set owner_id = ? where id = ?").bind(uploader.id, file).run()
      if (kind === "deliveries") await world.download(file, ann)
      await world.later(0)
      await world.later(2)
      return (await subjects(kind === "newFiles" ? ann : uploader)).length
    }
    const nothing = () => Promise.resolve()
    const set = (isOn: boolean) => (file: string) =>
      world.call("PUT", `/api/ops/files/${file}/notifications`, {
        newFiles: true,
        expiryReminders: true,
        deliveries: true,
        expiryReports: true,
        [kind]: isOn,
      })
    expect(await told("&notify=none", nothing)).toBe(0)
    expect(await told("&notify=expiryReports,expiryReminders", nothing)).toBe(0)
    expect(await told("", set(false))).toBe(0)
    expect(await told("&notify=none", set(true))).toBe(1)
    expect(await told(`&notify=${kind}`, nothing)).toBe(2)
  })

  it("for a file by its owner alone, all kinds named", async () => {
    const file = await world.newFile("audience=chosen&notify=newFiles,deliveries")
    const path = `/api/ops/files/${file}/notifications`
    const off = { newFiles: true, expiryReminders: false, deliveries: true, expiryReports: false }
    expect(await (await world.call("GET", path)).json()).toEqual({ notifications: off })
    const all = { newFiles: false, expiryReminders: true, deliveries: true, expiryReports: true }
    const some = { expiryReminders: true, deliveries: true, expiryReports: true }
    for (const json of [some, { ...all, more: true }]) {
      const problem = await world.api.problem(path, { method: "PUT", token: world.ops.tokens.accessToken, json })
      expect(problem.code).toBe("validation_failed")
    }
    expect(await (await world.call("GET", path)).json()).toEqual({ notifications: off })
    await world.call("PUT", path, all)
    expect(await (await world.call("GET", path)).json()).toEqual({ notifications: all })
    const refused = await world.api.problem("/api/ops/upload/a.docx?notify=newFiles,x", {
      method: "PUT",
      token: world.ops.tokens.accessToken,
      body: await documentBytes(),
    })
    expect([refused.code, refused.errors?.[0]?.field]).toEqual(["validation_failed", "notify.1"])
  })
})

describe("with a client who is deleted", () => {
  it("goes everything that is kept for telling them", async () => {
    const [ann, bob] = [await world.newPerson(), await world.newPerson()]
    const file = await world.newFile(`clients=${ann.id},${bob.id}`)
    await world.download(file, ann)
    await world.later(0)
    const rows = async () => {
      const tables = ["notices", "notice_bundles"].map((table) => `select '${table}' as t, * from ${table}`)
      const results = await world.api.db.$client.batch(tables.map((query) => world.api.db.$client.prepare(query)))
      return results.flatMap(({ results: found }) => found.map((row) => JSON.stringify(row)))
    }
    const of = (found: string[], person: Person) => found.filter((row) => row.includes(person.id)).length
    const before = await rows()
    expect([of(before, ann), of(before, bob)]).toEqual([3, 2])
    expect(before.join()).not.toContain("@")
    await world.call("DELETE", `/api/ops/clients/${ann.id}`)
    const after = await rows()
    expect([of(after, ann), of(after, bob)]).toEqual([0, 2])
  })
})
