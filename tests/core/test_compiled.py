"""Queries that are compiled once say what they would have said compiled anew."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from django.db.models import Q
from django.utils import timezone

from automl.accounts.models import User
from automl.core.compiled import CompiledQuery
from automl.experiments.models import TrainedModel
from tests.factories import TrainedModelFactory, UserFactory

pytestmark = pytest.mark.django_db


def recent_of(owner, since):
    rows = TrainedModel.objects.filter(
        Q(experiment__created_at__gt=since) | Q(name="old"), experiment__owner=owner
    )
    return rows.only("id", "name").order_by("name")


def recent():
    return CompiledQuery(
        recent_of,
        owner=(User._meta.pk, UUID(int=4)),
        since=(TrainedModel._meta.get_field("lease_expires_at"), datetime(1999, 1, 1, tzinfo=UTC)),
    )


def test_each_asking_has_values_of_its_own(django_assert_num_queries):
    query = recent()
    models = [TrainedModelFactory(name=name) for name in ("old", "new")]
    long_ago, soon = timezone.now() - timedelta(days=1), timezone.now() + timedelta(days=1)
    for model in models:
        owner = model.experiment.owner_id
        with django_assert_num_queries(1):
            assert query.ask(owner=owner, since=long_ago) == [model]
    assert query.ask(owner=models[0].experiment.owner_id, since=soon) == [models[0]]
    assert query.ask(owner=models[1].experiment.owner_id, since=soon) == []


def test_rows_are_read_anew_and_the_rest_of_them_when_it_is_wanted():
    query = recent()
    model = TrainedModelFactory(name="old", error="")
    ask = {"owner": model.experiment.owner_id, "since": timezone.now()}
    assert query.ask(**ask)[0].get_deferred_fields() >= {"error", "files"}
    TrainedModel.objects.update(error="It broke.")
    assert query.ask(**ask)[0].error == "It broke."
    TrainedModel.objects.all().delete()
    assert query.ask(**ask) == []


def test_values_are_stored_as_their_fields_store_them():
    query = CompiledQuery(
        lambda id: TrainedModel.objects.filter(id=id), id=(TrainedModel._meta.pk, UUID(int=5))
    )
    model = TrainedModelFactory()
    assert query.ask(id=model.id) == query.ask(id=str(model.id)) == [model]
    assert query.ask(id=uuid4()) == []


def test_percent_signs_and_quotes_are_values_like_others():
    query = CompiledQuery(
        lambda name: User.objects.filter(username=name, email__contains="%s").exclude(email="name"),
        name=(User._meta.get_field("username"), "example"),
    )
    user = UserFactory(username="o'%(x)s", email="a%s@example.org")
    assert query.ask(name="o'%(x)s") == [user]
    assert query.ask(name="example") == []


def test_a_place_that_the_query_has_not_is_refused():
    query = CompiledQuery(
        lambda name: User.objects.filter(username=name[:3]),
        name=(User._meta.get_field("username"), "example"),
    )
    with pytest.raises(ValueError, match="name is not used once"):
        query.ask(name="alice")
