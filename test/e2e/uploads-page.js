// A page's script that uploads what its field holds, as the documentation of tus-js-client and of Uppy says.
// Bundled by the test; what it offers is called by name from there.
/* global window, document, fetch, crypto */
import { Uppy } from "@uppy/core"
import Tus from "@uppy/tus"
import { Upload } from "tus-js-client"

const endpoint = "/api/ops/uploads"
const retryDelays = [0, 500, 1000, 2000, 4000, 4000, 4000]
const file = (index = 0) => document.getElementById("file").files[index]
let running

/** By tus-js-client, going on with what an earlier page has begun, where there is such a thing. */
async function byTus(options = {}) {
  const events = { resumed: false, from: 0, firstProgress: -1 }
  const outcome = new Promise((resolve) => {
    running = new Upload(file(), {
      endpoint,
      retryDelays,
      metadata: { filename: file().name, filetype: file().type },
      removeFingerprintOnSuccess: true,
      onProgress: (sent) => {
        if (events.firstProgress < 0) events.firstProgress = sent
      },
      onSuccess: ({ lastResponse }) => resolve({ ...events, fileId: lastResponse.getHeader("Sealpost-File-Id") }),
      onError: (error) => resolve({ ...events, error: error.originalResponse?.getBody() ?? String(error) }),
      ...options,
    })
  })
  const [earlier] = await running.findPreviousUploads()
  if (earlier !== undefined) {
    events.resumed = true
    running.resumeFromPreviousUpload(earlier)
  }
  running.start()
  return outcome
}

function createUppy(options = {}) {
  const uppy = new Uppy({ autoProceed: false }).use(Tus, { endpoint, retryDelays, ...options })
  for (const each of document.getElementById("file").files) uppy.addFile({ name: each.name, type: each.type, data: each })
  running = uppy
  return uppy
}

/** By Uppy, all files of the field. */
async function byUppy(options) {
  const uppy = createUppy(options)
  const fileIds = []
  // Afterwards Uppy resets the request, and its headers are gone.
  uppy.on("upload-success", (_, { body }) => fileIds.push(body.xhr.getResponseHeader("Sealpost-File-Id")))
  const { failed } = await uppy.upload()
  return {
    fileIds,
    failed: failed.map(({ response, error }) => response?.body?.xhr.responseText ?? error),
  }
}

async function logIn(account) {
  const headers = { "Content-Type": "application/json" }
  const response = await fetch("/api/ops/login", { method: "POST", headers, body: JSON.stringify(account) })
  return { status: response.status, ...(await response.json()) }
}

/** The SHA-256 of what the service gives back. */
async function digestOf(fileId) {
  const content = await fetch(`/api/ops/files/${fileId}/content`)
  const digest = await crypto.subtle.digest("SHA-256", await content.arrayBuffer())
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("")
}

window.page = {
  byTus,
  byUppy,
  logIn,
  digestOf,
  abort: () => running.abort(),
  pauseAll: () => running.pauseAll(),
  resumeAll: () => running.resumeAll(),
}
