// Imported first by commands: whoever runs one reads what is wrong, not a stack. DEBUG=1 shows the stack too.

/** 128 and the number of SIGPIPE, as other tools end when nobody reads on. */
const NOBODY_READS = 141

/** Node goes on about positional arguments, which are seldom meant. */
function sentenceOf(error: Error): string {
  const isOption = "code" in error && error.code === "ERR_PARSE_ARGS_UNKNOWN_OPTION"
  return isOption ? `${error.message.split(". ", 1)[0] ?? ""}. What there is: --help` : error.message
}

process.on("uncaughtException", (error) => {
  console.error(process.env["DEBUG"] === undefined ? sentenceOf(error) : error)
  process.exit(1)
})

// `npm run audit:export … | head` has seen enough, which is no fault.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error
  process.exit(NOBODY_READS)
})
