import csv


class Csv:
    """Metrics as rows of metrics.csv in the run's folder; a resumed run drops the rows that it logs again."""

    def start(self, run):
        self.path = run.folder / "metrics.csv"
        rows = list(csv.reader(self.path.read_text(encoding="utf-8").splitlines())) if self.path.exists() else []
        self.rows = [row for row in rows if int(row[0]) <= run.step]

    def log(self, metrics, *, step):
        self.rows += [[step, name, value] for name, value in metrics.items()]

    def finish(self):
        with open(self.path, "w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows(self.rows)
