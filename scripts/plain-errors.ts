// Imported first by commands: whoever runs one reads what is wrong, not a stack. DEBUG=1 shows the stack too.

process.on("uncaughtException", (error) => {
  console.error(process.env["DEBUG"] === undefined ? error.message : error)
  process.exit(1)
})
