// Answers for paths and methods that do not exist, before anybody is asked who they are: 404, 405 with Allow
// (RFC 9110 section 15.5.6), 204 to OPTIONS. Hono by itself says 404 to a wrong method, and a guard would
// say 401 to an unknown path. Reads the table of routes that were really mounted.
import type { Hono } from "hono"
import { createMiddleware } from "hono/factory"
import { TrieRouter } from "hono/router/trie-router"
import { AppError } from "../../errors.ts"
import type { AppEnv } from "../types.ts"

type Route = { pattern: string; methods: Set<string> }

/** Every mounted route once, with its methods. Middleware (method ALL) is not a route. */
export function routeTable(app: Hono<AppEnv>): Route[] {
  const table = new Map<string, Route>()
  for (const { method, path } of app.routes) {
    if (method === "ALL" || method === "OPTIONS") continue
    const route = table.get(path) ?? { pattern: path, methods: new Set() }
    route.methods.add(method)
    // Hono serves HEAD by the GET handler.
    if (method === "GET") route.methods.add("HEAD")
    table.set(path, route)
  }
  return [...table.values()]
}

export function knownRoute(app: Hono<AppEnv>) {
  let router: TrieRouter<Route> | undefined

  function find(path: string): Route | undefined {
    if (router === undefined) {
      router = new TrieRouter<Route>()
      for (const route of routeTable(app)) router.add("ALL", route.pattern, route)
    }
    return router.match("GET", path)[0][0]?.[0]
  }

  return createMiddleware<AppEnv>(async function knownRoute(c, next) {
    const route = find(c.req.path)
    if (route === undefined) throw new AppError("not_found", { detail: "There is nothing at this address." })
    const allow = [...route.methods, "OPTIONS"].sort()
    // Methods of no known route may be anything at all; logs name only known ones.
    const isKnown = allow.includes(c.req.method)
    c.set("operation", `${isKnown ? c.req.method : "(other method)"} ${route.pattern}`)
    if (c.req.method === "OPTIONS") {
      c.header("Allow", allow.join(", "))
      // A resource may have more to say of itself.
      return app.routes.some(({ method, path }) => method === "OPTIONS" && path === route.pattern) ? next() : c.body(null, 204)
    }
    if (!isKnown) throw new AppError("method_not_allowed", { detail: `Allowed here: ${allow.join(", ")}.`, allow })
    return next()
  })
}
