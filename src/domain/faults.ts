// Faults of what the service stands on, told apart for those who answer requests.
export { isDatabaseOutage } from "../db/d1-errors.ts"
