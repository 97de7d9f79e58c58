-- What objects are found by when somebody asks for a metadata pair. An index on the column itself is of
-- no use under row-level security: no operator of `jsonb` is known not to leak what it is given, so it
-- is asked only about rows that have passed the policy, one by one.
create table object_metadata (
    tenant_id uuid not null,
    environment text not null,
    kind text not null,
    key text not null,
    value text not null,
    object_id uuid not null,
    constraint object_metadata_pkey
        primary key (tenant_id, environment, kind, key, value, object_id)
);

-- A trigger, so that nothing is missed while the version before this one still serves; with the owner's
-- rights, as nobody else has any on the table yet. Pairs never change once an object is made.
create function note_object_metadata() returns trigger language plpgsql
security definer set search_path from current as $$
begin
    insert into object_metadata (tenant_id, environment, kind, key, value, object_id)
    select new.tenant_id, new.environment, new.kind, pair.key, pair.value, new.id
    from jsonb_each_text(new.metadata) as pair
    on conflict on constraint object_metadata_pkey do nothing;
    return null;
end
$$;

create trigger note_metadata after insert on objects for each row
    when (new.metadata <> '{}'::jsonb) execute function note_object_metadata();
