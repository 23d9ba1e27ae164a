// Many files in a few statements, for tests and benches of lists: all for everyone, of all types, with names, times
// and sizes of which several are equal. Their bytes do not exist.

/** Files number `first` to `first + count - 1`. */
export async function seedFiles(db: D1Database, ownerId: string, first: number, count: number): Promise<void> {
  const newest = await db.prepare("select coalesce(max(rowid), 0) as at from files").first<{ at: number }>()
  const after = newest?.at ?? 0
  await db.batch([
    db
      .prepare(
        `insert into files (id, owner_id, version, name, type, created_at_ms, audience, name_key, size_bytes)
         with recursive n(i) as (select ?2 union all select i + 1 from n where i + 1 < ?2 + ?3)
         select printf('%08x-0000-4000-8000-%012x', (i * 2654435761) % 4294967296, i), ?1, 1, printf('Report %05d', i * 7919 % 49999),
           case i % 3 when 0 then 'docx' when 1 then 'xlsx' else 'pptx' end, 1700000000000 + i / 7 * 1000, 'everyone',
           printf('report %05d', i * 7919 % 49999), i * 104729 % 4999 + 1 from n`,
      )
      .bind(ownerId, first, count),
    db
      .prepare(
        `insert into blobs (file_id, version, object_key, format, size_bytes, sealed_bytes, parts, sha256, key_id, wrapped_key, commitment)
         select id, 1, id, 1, size_bytes, size_bytes, 1, id, 1, '', '' from files where rowid > ?`,
      )
      .bind(after),
    db
      .prepare(
        `insert into file_grants (file_id, audience, client_id, group_id, granted_at_ms, type, created_at_ms, name_key, size_bytes, announced_at_ms) select id, 'everyone', null, null, created_at_ms, type, created_at_ms, name_key, size_bytes, 1
         from files where rowid > ?`,
      )
      .bind(after),
  ])
}
