import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { AppError } from "../../src/errors.ts"
import { multipartBoundary, readMultipart } from "../../src/protocol/multipart.ts"

const encode = (text: string): Uint8Array => new TextEncoder().encode(text)

function streamOf(chunks: Uint8Array[]): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start(controller) {
      for (const chunk of chunks) if (chunk.length > 0) controller.enqueue(chunk)
      controller.close()
    },
  })
}

type Read = { name: string; filename: string | undefined; text: string }

async function read(chunks: Uint8Array[], boundary = "BB"): Promise<Read[]> {
  const parts: Read[] = []
  for await (const { name, filename, chunks: content } of readMultipart(streamOf(chunks), boundary)) {
    let text = ""
    for await (const chunk of content) text += Array.from(chunk, (byte) => String.fromCharCode(byte)).join("")
    parts.push({ name, filename, text })
  }
  return parts
}

const readText = (body: string): Promise<Read[]> => read([encode(body)])
const part = (disposition: string, content = "x"): string => `--BB\r\nContent-Disposition: ${disposition}\r\n\r\n${content}\r\n`

async function codeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work
    return "accepted"
  } catch (error) {
    return error instanceof AppError ? error.code : String(error)
  }
}

const tricky = `${part('form-data; name="file"; filename="a.docx"', "hello\r\n--B\r\n--BC\r\n-- \r\r\n--")}${part('form-data; name="note"', "")}--BB--\r\nepilogue`

describe("a multipart body", () => {
  it("gives its parts in order, with content that looks almost like a boundary", async () => {
    expect(await readText(tricky)).toEqual([
      { name: "file", filename: "a.docx", text: "hello\r\n--B\r\n--BC\r\n-- \r\r\n--" },
      { name: "note", filename: undefined, text: "" },
    ])
  })

  it("gives the same however the network cuts it", async () => {
    const bytes = encode(tricky)
    const whole = await read([bytes])
    for (let at = 0; at <= bytes.length; at++)
      expect(await read([bytes.slice(0, at), bytes.slice(at)]), `cut at ${String(at)}`).toEqual(whole)
    expect(await read(Array.from(bytes, (byte) => Uint8Array.of(byte)))).toEqual(whole)
  })

  it("gives back any content, however it is cut", async () => {
    const content = fc.array(fc.constantFrom(0x0d, 0x0a, 0x2d, 0x42, 0x43, 0), { maxLength: 60 })
    await fc.assert(
      fc.asyncProperty(content, fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1 }), async (bytes, steps) => {
        const text = String.fromCharCode(...bytes)
        fc.pre(!`\r\n${text}`.includes("\r\n--BB"))
        const body = encode(`${part('form-data; name="f"', text)}--BB--\r\n`)
        const chunks: Uint8Array[] = []
        for (let at = 0, i = 0; at < body.length; i++) {
          const step = steps[i % steps.length] ?? 1
          chunks.push(body.slice(at, at + step))
          at += step
        }
        expect(await read(chunks)).toEqual([{ name: "f", filename: undefined, text }])
      }),
      { numRuns: 500 },
    )
  })

  it("skips what the reader leaves unread", async () => {
    const names: string[] = []
    for await (const { name } of readMultipart(streamOf([encode(tricky)]), "BB")) names.push(name)
    expect(names).toEqual(["file", "note"])
  })

  it("allows a preamble and padding after boundaries (RFC 2046 5.1.1)", async () => {
    expect(await readText("preamble\r\n--BB \t\r\ncontent-disposition: form-data; name=f\r\n\r\nx\r\n--BB--")).toEqual([
      { name: "f", filename: undefined, text: "x" },
    ])
  })

  it.each([
    ["cut anywhere before its end", tricky.slice(0, tricky.indexOf("--BB--") - 3)],
    ["empty", ""],
    ["without its boundary", "--CC\r\n\r\n--CC--"],
    ["with text behind a boundary", "--BBx\r\n\r\n\r\n--BB--"],
    ["with a part without disposition", "--BB\r\nContent-Type: text/plain\r\n\r\nx\r\n--BB--"],
    [
      "with two dispositions",
      '--BB\r\nContent-Disposition: form-data; name="a"\r\nContent-Disposition: form-data; name="b"\r\n\r\nx\r\n--BB--',
    ],
    ["with an attachment", `${part('attachment; name="a"')}--BB--`],
    ["with a part without name", `${part('form-data; filename="a"')}--BB--`],
    ["with a name twice", `${part('form-data; name="a"; name="b"')}--BB--`],
    ["F10: with a file name twice", `${part('form-data; name="a"; filename="a.docx"; filename="b.docx"')}--BB--`],
    ["with a broken parameter", `${part('form-data; name="a')}--BB--`],
    ["with filename* in another charset", `${part("form-data; name=a; filename*=latin1''%e4")}--BB--`],
    ["with a broken percent sequence", `${part("form-data; name=a; filename*=utf-8''%zz")}--BB--`],
    ["with an endless header", `--BB\r\nX: ${"x".repeat(9000)}\r\n\r\nx\r\n--BB--`],
  ])("is refused %s", async (_, body) => {
    expect(await codeOf(readText(body))).toBe("malformed_request")
  })

  it.each([1, 7, 100_000])("is refused with a header past its limit, in chunks of %i bytes, and taken below it", async (size) => {
    const body = (padding: number): Uint8Array[] => {
      const bytes = encode(`--BB\r\nX: ${"x".repeat(padding)}\r\nContent-Disposition: form-data; name="a"\r\n\r\nx\r\n--BB--`)
      return Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) => bytes.slice(i * size, (i + 1) * size))
    }
    expect(await codeOf(read(body(8100)))).toBe("accepted")
    expect(await codeOf(read(body(8200)))).toBe("malformed_request")
  })

  it("is refused with a header that is not UTF-8", async () => {
    const bytes = encode(`${part('form-data; name="a"; filename="?"')}--BB--`)
    expect(await codeOf(read([bytes]))).toBe("accepted")
    bytes[bytes.indexOf(0x3f)] = 0xff
    expect(await codeOf(read([bytes]))).toBe("malformed_request")
  })
})

describe("F10: file names", () => {
  it.each([
    ['filename="a b.docx"', "a b.docx"],
    ["filename=plain.docx", "plain.docx"],
    ['filename="Отчёт 測試.docx"', "Отчёт 測試.docx"],
    ['filename="say %22hi%22%0D%0A.docx"', 'say "hi"\r\n.docx'],
    ['filename="say \\"hi\\".docx"', 'say "hi".docx'],
    ['filename="100%25.docx"', "100%25.docx"],
    ['filename="C:\\dir\\a.docx"', "C:\\dir\\a.docx"],
    ["filename*=UTF-8''%E6%B8%AC.docx", "測.docx"],
    [`filename="fallback.docx"; filename*=utf-8'en'exact.docx`, "exact.docx"],
    [`filename*=utf-8''exact.docx; filename="fallback.docx"`, "exact.docx"],
    ['filename="=?UTF-8?Q?a.docx?="', "=?UTF-8?Q?a.docx?="],
    ['filename=""', ""],
  ])("%s means %j", async (parameter, filename) => {
    expect(await readText(`${part(`form-data; name="file"; ${parameter}`)}--BB--`)).toEqual([
      { name: "file", filename, text: "x" },
    ])
  })
})

describe("hostile parameters", () => {
  it.each([
    ["backslashes without end", `form-data; name="${"\\".repeat(8000)}`],
    ["escaped quotes without end", `form-data; name="${'\\"'.repeat(4000)}`],
    ["spaces", `form-data;${" ".repeat(8000)}`],
    ["semicolons", `form-data${"; ".repeat(4000)}`],
  ])("%s are refused at once", async (_, disposition) => {
    const started = performance.now()
    expect(await codeOf(readText(`${part(disposition)}--BB--`))).toBe("malformed_request")
    // Exponential or quadratic matching would take seconds to ages; the bound is only there to end the test.
    expect(performance.now() - started).toBeLessThan(2000)
  })
})

describe("multipartBoundary", () => {
  it.each([
    ["multipart/form-data; boundary=abc", "abc"],
    ['multipart/form-data; boundary="a b:c"', "a b:c"],
    ["Multipart/Form-Data;charset=utf-8; BOUNDARY=abc", "abc"],
    ["multipart/form-data", null],
    ["multipart/form-data; boundary=", null],
    [`multipart/form-data; boundary=${"x".repeat(71)}`, null],
    ['multipart/form-data; boundary="a{b"', null],
    ['multipart/form-data; x="; boundary=fake"; boundary=abc', "abc"],
    ['multipart/form-data; x="; boundary=fake"', null],
    ["multipart/form-data; boundary=abc; boundary=abd", null],
    ["multipart/form-data; boundary=abc; Boundary=abc", null],
    ["multipart/form-data; boundary=abc;", "abc"],
    ["multipart/form-data; boundary=abc x", null],
    ["multipart/mixed; boundary=abc", null],
    ["application/json", null],
    ["", null],
  ])("of %j is %j", (contentType, boundary) => {
    expect(multipartBoundary(contentType)).toBe(boundary)
  })
})
