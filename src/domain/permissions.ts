// What an account may do beyond its role, by the names that commands and answers use. Commands alone give it.

/** May do with everybody's files what their owners may. */
export const MANAGE_ALL_FILES = "manage-all-files"

/** All permissions that somebody has. */
export const permissionsOf = ({ managesAllFiles }: { managesAllFiles: boolean }): string[] =>
  managesAllFiles ? [MANAGE_ALL_FILES] : []
