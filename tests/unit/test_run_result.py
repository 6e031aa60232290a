"""What a run says of itself."""

from rowcast.recorded_run import Result
from rowcast.run_result import RunResult
from rowcast.store.records import PipelineName


def test_the_version_that_scored_is_named_where_another_serves_by_the_end() -> None:
    same = Result(PipelineName.INFER, 6, scored_by=3, champion=3)
    assert "scored_by" not in RunResult.of(same).to_dict()
    overtaken = Result(PipelineName.INFER, 6, scored_by=3, champion=4)
    found = RunResult.of(overtaken).to_dict()
    assert (found["scored_by"], found["champion"]) == ("v3", "v4")
