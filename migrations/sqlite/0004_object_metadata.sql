-- What objects are found by when somebody asks for a metadata pair. Pairs never change once an object
-- is made.
create table object_metadata (
    tenant_id blob not null,
    environment text not null,
    kind text not null,
    key text not null,
    value text not null,
    object_id blob not null,
    constraint object_metadata_pkey
        primary key (tenant_id, environment, kind, key, value, object_id)
) strict, without rowid;

-- A later migration that makes `objects` anew makes this anew too.
create trigger note_metadata after insert on objects when new.metadata <> '{}'
begin
    insert into object_metadata (tenant_id, environment, kind, key, value, object_id)
    select new.tenant_id, new.environment, new.kind, pair.key, pair.value, new.id
    from json_each(new.metadata) as pair;
end;

insert into object_metadata (tenant_id, environment, kind, key, value, object_id)
select objects.tenant_id, objects.environment, objects.kind, pair.key, pair.value, objects.id
from objects, json_each(objects.metadata) as pair;
