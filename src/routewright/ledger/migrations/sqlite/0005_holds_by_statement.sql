-- Which holds are open is now kept by a statement for each batch, in SQL that PostgreSQL understands too, as is which
-- embeddings are old.
DROP TRIGGER a_reservation_opens_a_hold;
DROP TRIGGER any_other_event_closes_it;
DROP TRIGGER old_embeddings_go;
