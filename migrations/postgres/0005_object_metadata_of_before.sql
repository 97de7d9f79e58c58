-- Objects that were made before the trigger. Apart from it, so that its lock, which stops writes, is not
-- held for as long as this takes.
insert into object_metadata (tenant_id, environment, kind, key, value, object_id)
select tenant_id, environment, kind, pair.key, pair.value, id
from objects, jsonb_each_text(metadata) as pair
on conflict on constraint object_metadata_pkey do nothing;

drop index objects_metadata_idx;
